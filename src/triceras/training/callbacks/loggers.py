"""Callbacks that write the numbers of each epoch down."""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from triceras.core.errors import require
from triceras.core.registry import export
from triceras.training.callbacks.base import Callback, Logs


@export("callbacks.CSVLogger")
class CSVLogger(Callback):
    """Writes the logs of every epoch to a CSV file, a row each, at once.

    The columns are `epoch` and the names logged in the first epoch; what is missing later is `NA`. Without
    validation in the first epoch there are `val_` columns all the same, for a later one.

    Args:
        filename: the file; its folder is made if needed.
        separator: between two columns.
        append: add to what the file holds instead of starting anew.

    >>> CSVLogger("run/history.csv", append=True).sep
    ','
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self.writer: Any = None
        self.csv_file: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.on_train_end()
        os.makedirs(os.path.dirname(self.filename) or ".", exist_ok=True)
        self.csv_file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.writer is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
            self.writer = csv.writer(self.csv_file, delimiter=self.sep, lineterminator="\n")
            if self.csv_file.tell() == 0:
                self.writer.writerow(["epoch", *self.keys])
        self.writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        self.csv_file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.csv_file is not None:
            self.csv_file.close()
        self.csv_file = self.writer = None


def _cell(value: Any) -> Any:
    if isinstance(value, Iterable) and not isinstance(value, str) and np.ndim(value) > 0:
        return f'"[{", ".join(map(str, value))}]"'
    return value


@export("callbacks.RemoteMonitor")
class RemoteMonitor(Callback):
    """Sends the logs of every epoch to a server by HTTP POST; needs the library `requests`.

    Args:
        root: address of the server.
        path: path below `root`.
        field: form field that holds the JSON text, unless `send_as_json`.
        headers: HTTP headers.
        send_as_json: send the JSON as the body (`application/json`).

    Raises:
        OptionalDependencyError: `requests` isn't installed.

    >>> RemoteMonitor("http://localhost:8000").path
    '/publish/epoch/end/'
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        requests = require("requests", "all", "callbacks.RemoteMonitor")
        sent = {"epoch": epoch}
        for name, value in (logs or {}).items():
            sent[name] = value.item() if isinstance(value, (np.ndarray, np.generic)) else value
        body = {"json": sent} if self.send_as_json else {"data": {self.field: json.dumps(sent)}}
        try:
            requests.post(self.root + self.path, headers=self.headers, **body)
        except requests.exceptions.RequestException as error:
            warnings.warn(f"Could not reach RemoteMonitor root server at {self.root}: {error}", stacklevel=2)
