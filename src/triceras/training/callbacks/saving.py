"""Callbacks that keep the model in files."""

from __future__ import annotations

import json
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from triceras.core.errors import ArgumentError, FileFormatError, NotFoundError, shown
from triceras.core.registry import export
from triceras.training.callbacks.base import Callback, Logs
from triceras.training.callbacks.monitor import MonitorCallback
from triceras.training.progress import message


class LogNameError(NotFoundError, KeyError):
    """A name isn't among the logged ones."""

    __str__ = Exception.__str__  # KeyError would show the message as a quoted repr


class PeriodicSaver(Callback):
    """Base of callbacks that save after every epoch, or every so many batches, counted through the epochs."""

    save_freq: str | int

    def _set_frequency(self, save_freq: str | int) -> None:
        if save_freq != "epoch" and not (type(save_freq) is int and save_freq > 0):
            raise ArgumentError(
                f"Unrecognized save_freq: {shown(save_freq)}. "
                f"{type(self).__name__} expects 'epoch' or a number of batches."
            )
        self.save_freq = save_freq
        self._current_epoch = 0
        self._last_batch = -1
        self._unsaved_batches = 0

    def _hears(self, hook: str) -> bool:
        own = type(self).on_train_batch_end is PeriodicSaver.on_train_batch_end
        if hook == "on_train_batch_end" and own and self.save_freq == "epoch":
            return False
        return super()._hears(hook)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._unsaved_batches += batch - self._last_batch if batch > self._last_batch else batch + 1
        self._last_batch = batch
        if self._unsaved_batches >= self.save_freq:
            self._unsaved_batches = 0
            self._save_batch(self._current_epoch, batch + 1, logs or {})

    def _save_batch(self, epoch: int, batch: int, logs: Logs) -> None:
        raise NotImplementedError


@export("callbacks.ModelCheckpoint")
class ModelCheckpoint(PeriodicSaver, MonitorCallback):
    """Saves the model, or its weights, while it trains.

    Args:
        filepath: a name that ends in ".keras" or ".h5", or in ".weights.h5" for weights. It may hold
            `{epoch}`, `{batch}` (both from 1) and logged names, as in "{epoch:02d}-{val_loss:.2f}.keras".
        monitor: name in the logs, for `save_best_only`.
        verbose: 1 says what is saved and why.
        save_best_only: save only when the monitored value improves.
        save_weights_only: save weights instead of the whole model.
        mode: "min", "max", or "auto" from the name and the model's metrics.
        save_freq: "epoch", or a number of training batches, counted through the epochs.
        initial_value_threshold: what the first value has to beat to be saved.

    Raises:
        ArgumentError: a wrong ending or `save_freq`.
        LogNameError: while training, when `filepath` holds a name that isn't logged.

    >>> ModelCheckpoint("best.keras", save_best_only=True).monitor
    'val_loss'
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self._set_frequency(save_freq)
        endings = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            raise ArgumentError(
                f"ModelCheckpoint's `filepath` must end in {' or '.join(f'`{e}`' for e in endings)} with "
                f"save_weights_only={save_weights_only}. Received: filepath={self.filepath}"
            )

    def _save_batch(self, epoch: int, batch: int, logs: Logs) -> None:
        self._save(epoch, {"batch": batch, **logs})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only and self.monitor_op is None:
            self._set_monitor_op()
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Logs) -> None:
        path = self._path(epoch, logs)
        reason = self._reason_to_save(logs) if self.save_best_only else ""
        if reason is None:
            if self.verbose:
                message(f"Epoch {epoch + 1}: {self.monitor} did not improve from {_best(self.best)}")
            return
        if self.verbose:
            message(f"Epoch {epoch + 1}: {reason}saving model to {path}")
        if os.path.isdir(path):
            raise IsADirectoryError(f"ModelCheckpoint's `filepath` must name a file, but {path} is a folder.")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, overwrite=True)
        if self.verbose:
            message(f"Epoch {epoch + 1}: finished saving model to {path}")

    def _reason_to_save(self, logs: Logs) -> str | None:
        """Why to save under `save_best_only`, None if not; empty for what can't be compared."""
        current = self._monitored(logs, "Can save best model only with")
        if current is None:
            return ""
        if np.ndim(current) > 0:
            warnings.warn(
                f"ModelCheckpoint can save the best model only if {self.monitor!r} is a scalar, so it saves "
                f"every time. Received: {shown(current)}",
                stacklevel=4,
            )
            return ""
        if not self._is_improvement(current, self.best):
            return None
        before, self.best = self.best, current
        return f"{self.monitor} improved from {_best(before)} to {current:.5f}, "

    def _path(self, epoch: int, logs: Logs) -> str:
        try:
            return self.filepath.format(**{"epoch": epoch + 1, **logs})
        except (KeyError, IndexError) as error:
            raise LogNameError(
                f'Failed to format this callback filepath: "{self.filepath}" needs {error}. '
                f"Available are: epoch, {', '.join(logs)}"
            ) from error


def _best(value: float | None) -> str:
    return "None" if value is None else f"{value:.5f}"


@export("callbacks.BackupAndRestore")
class BackupAndRestore(PeriodicSaver):
    """Keeps the state of a training in a folder, so that the same program, started again, goes on with it.

    Weights, the optimizer and the layers' random numbers are restored, and `fit` starts with the epoch that was not
    finished. A backup counts once it is whole on the disk; one that a crash cut off is ignored. To see the data in
    the same order too, call `utils.set_random_seed` before `fit`.

    Args:
        backup_dir: a folder for this training alone.
        save_freq: "epoch", or a number of batches, counted through the epochs. A backup from within an epoch
            restores the weights, and the epoch begins anew.
        double_checkpoint: keep the backup before the last one too, for the case that the last can't be read.
        delete_checkpoint: remove the backups when the training has ended.

    Raises:
        ArgumentError: an empty `backup_dir` or a wrong `save_freq`.
        WeightsMismatchError: when training starts, if the backup is of another model.

    >>> BackupAndRestore("runs/backup", double_checkpoint=True).save_freq
    'epoch'
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not os.fspath(backup_dir):
            raise ArgumentError("BackupAndRestore needs a folder as `backup_dir`. Received: an empty name.")
        self.backup_dir = os.fspath(backup_dir)
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._set_frequency(save_freq)
        self._kept: list[dict[str, Any]] = []

    @property
    def _index(self) -> Path:
        return Path(self.backup_dir) / "training.json"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._kept = self._listed()
        if self._kept and self.model.optimizer is not None:
            self.model.optimizer.build(self.model.trainable_variables)
        for kept in self._kept:
            try:
                self.model.load_weights(Path(self.backup_dir) / kept["file"])
            except (FileFormatError, OSError) as error:
                warnings.warn(f"A backup can't be read and is left out: {error}", stacklevel=2)
                continue
            for state, value in zip(self._random(), kept["random"], strict=False):
                state.assign(np.array(value, state.dtype))
            self.model._initial_epoch = kept["epoch"]
            return
        self._kept = []

    def _random(self) -> list[Any]:
        """The state of the model's random numbers, which files of weights don't hold."""
        weights = {id(weight) for weight in self.model.weights}
        return [variable for variable in self.model.variables if id(variable) not in weights]

    def _listed(self) -> list[dict[str, Any]]:
        """The backups, the last one first."""
        try:
            listed = json.loads(self._index.read_text(encoding="utf-8"))["backups"]
            kept = [
                {
                    "file": Path(str(entry["file"])).name,
                    "epoch": int(entry["epoch"]),
                    "batch": int(entry["batch"]),
                    "random": [[int(number) for number in state] for state in entry["random"]],
                }
                for entry in listed
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(f"{self._index} can't be read, so the training begins anew: {error}", stacklevel=3)
            return []
        return kept

    def _save_batch(self, epoch: int, batch: int, logs: Logs) -> None:
        self._save(epoch, batch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0)

    def _save(self, epoch: int, batch: int) -> None:
        """Write the weights under a name of their own, then the list that names them: never one without the other."""
        from triceras.saving.atomic import replacing

        entry = {
            "file": f"epoch-{epoch}-batch-{batch}.weights.h5",
            "epoch": epoch,
            "batch": batch,
            "random": [state.numpy().tolist() for state in self._random()],
        }
        self.model.save_weights(Path(self.backup_dir) / entry["file"], overwrite=True)
        before = [kept for kept in self._kept if kept["file"] != entry["file"]]
        self._kept = [entry, *before[: 1 if self.double_checkpoint else 0]]
        with replacing(self._index) as file:
            file.write(json.dumps({"backups": self._kept}).encode())
        self._remove([kept["file"] for kept in before if kept not in self._kept])

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            self._remove([self._index.name, *(kept["file"] for kept in self._kept)])
            self._kept = []
            with suppress(OSError):  # others' files stay
                os.rmdir(self.backup_dir)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                os.remove(os.path.join(self.backup_dir, name))
