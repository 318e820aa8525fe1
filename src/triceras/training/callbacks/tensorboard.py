"""Logs for TensorBoard."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from triceras.core.errors import ArgumentError, require, shown
from triceras.core.registry import export
from triceras.training.callbacks.base import Callback, Logs

MOST_CHANNELS = 16  # of a kernel, in pictures of weights


@export("callbacks.TensorBoard")
class TensorBoard(Callback):
    """Writes logs that TensorBoard shows (`tensorboard --logdir logs`); needs the library `tensorboardX`.

    The folders `train` and `validation` in `log_dir` get `epoch_` values of all logs, by epoch; `batch_` values, if
    `update_freq` asks for them, by batch; and `evaluation_..._vs_iterations` values after each evaluation.

    Args:
        log_dir: the folder, of this training alone.
        histogram_freq: write histograms of all weights every so many epochs; 0 never.
        write_graph: write the graph of the layers.
        write_images: also write weights as pictures, where histograms are written.
        write_steps_per_second: write how many steps a second were made, by epoch and by batch.
        update_freq: "epoch", "batch", or a number of batches. Writing of batches makes `fit` run step by step.
        profile_batch: a batch, or a pair of the first and the last one, counted from 1 through all epochs, of
            which the engine writes a profile; 0 none.
        embeddings_freq: write the weights of `Embedding` layers for the projector every so many epochs; 0 never.
        embeddings_metadata: a file with a line for each row of an embedding, or a dict of such files by layer name.

    Raises:
        ArgumentError: a number of the wrong kind, or `embeddings_metadata` for layers that aren't there.
        OptionalDependencyError: when training starts, if `tensorboardX` isn't installed.

    >>> TensorBoard("logs/first", histogram_freq=1).update_freq
    'epoch'
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int | str | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = _count("histogram_freq", histogram_freq)
        self.embeddings_freq = _count("embeddings_freq", embeddings_freq)
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        if update_freq != "epoch":
            update_freq = _count("update_freq", 1 if update_freq == "batch" else update_freq, least=1)
        self.update_freq = update_freq
        self._profiled = _batches(profile_batch)
        self.embeddings_metadata = embeddings_metadata
        self._writers: dict[str, Any] = {}
        self._profile = ExitStack()
        self._batch, self._in_fit = 0, False

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            library = require("tensorboardX", "tensorboard", "callbacks.TensorBoard")
            own = f".{time.time_ns()}"  # or files of one second would replace each other
            self._writers[part] = library.SummaryWriter(os.path.join(self.log_dir, part), filename_suffix=own)
        return self._writers[part]

    def _write(self, part: str, prefix: str, logs: Logs | None, step: int, suffix: str = "") -> None:
        for name, value in (logs or {}).items():
            if np.ndim(value) == 0:
                self._writer(part).add_scalar(f"{prefix}_{name}{suffix}", float(value), step)

    def _hears(self, hook: str) -> bool:
        """Single batches count only if something is written of them."""
        batches = self.update_freq != "epoch" or self._profiled is not None
        own = getattr(type(self), hook) is getattr(TensorBoard, hook)
        if "train_batch" in hook and not batches and own:
            return False
        return super()._hears(hook)

    # -- training --------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batch, self._in_fit = 0, True
        self._check_metadata()
        if self.write_graph:
            self._write_graph()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False
        self._profile.close()
        self._close()

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._began, self._iterations = time.perf_counter(), self._steps()

    def _steps(self) -> int:
        return int(getattr(self.model.optimizer, "iterations", 0))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = dict(logs or {})
        rate = getattr(self.model.optimizer, "learning_rate", None)
        if rate is not None:
            logs.setdefault("learning_rate", float(rate))
        validation = {name.removeprefix("val_"): v for name, v in logs.items() if name.startswith("val_")}
        self._write("train", "epoch", {n: v for n, v in logs.items() if not n.startswith("val_")}, epoch)
        self._write("validation", "epoch", validation, epoch)
        if self.write_steps_per_second:
            per_second = (self._steps() - self._iterations) / (time.perf_counter() - self._began)
            self._write("train", "epoch", {"steps_per_second": per_second}, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._batch += 1
        self._batch_began = time.perf_counter()
        if self._profiled is not None and self._batch == self._profiled[0]:
            self._profile.enter_context(self.model.engine.profile(os.path.join(self.log_dir, "train")))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._profiled is not None and self._batch == self._profiled[1]:
            self._profile.close()
        if self.update_freq == "epoch" or self._batch % self.update_freq:
            return
        self._write("train", "batch", logs, self._batch)
        if self.write_steps_per_second:
            per_second = 1 / (time.perf_counter() - self._batch_began)
            self._write("train", "batch", {"steps_per_second": per_second}, self._batch)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self.model.optimizer is not None:
            self._write("validation", "evaluation", logs, self._steps(), "_vs_iterations")
        if not self._in_fit:
            self._close()

    # -- the model -------------------------------------------------------------------------------------------

    def _write_graph(self) -> None:
        """The layers as JSON, of which TensorBoard makes a graph; a subclassed model has none."""
        if getattr(self.model, "_graph", None) is None:
            return
        protos = require("tensorboardX", "tensorboard", "callbacks.TensorBoard").proto
        metadata = protos.summary_pb2.SummaryMetadata()
        metadata.plugin_data.plugin_name = "graph_keras_model"
        metadata.plugin_data.content = b"1"
        text = protos.tensor_pb2.TensorProto(
            dtype=protos.types_pb2.DT_STRING,
            tensor_shape=protos.tensor_shape_pb2.TensorShapeProto(),
            string_val=[self.model.to_json().encode()],
        )
        value = protos.summary_pb2.Summary.Value(tag="keras", metadata=metadata, tensor=text)
        self._writer("train").file_writer.add_summary(protos.summary_pb2.Summary(value=[value]), 0)

    def _write_weights(self, epoch: int) -> None:
        for layer in self.model.layers:
            for weight in layer.weights:
                if weight.dtype == "string":
                    continue
                value = weight.numpy().astype("float32")
                self._writer("train").add_histogram(f"{weight.path}/histogram", value, epoch)
                picture = _picture(value) if self.write_images else None
                if picture is not None:
                    self._writer("train").add_images(
                        f"{weight.path}/image", picture, epoch, dataformats="NHWC"
                    )

    def _embeddings(self) -> dict[str, Any]:
        """The tables of the `Embedding` layers, by layer name."""
        return {
            layer.name: layer.embeddings
            for layer in self.model.layers
            if getattr(layer, "embeddings", None) is not None
        }

    def _check_metadata(self) -> None:
        if isinstance(self.embeddings_metadata, dict):
            unknown = sorted(set(self.embeddings_metadata) - set(self._embeddings()))
            if unknown:
                raise ArgumentError(
                    f"TensorBoard got `embeddings_metadata` for {unknown}, but the model's Embedding layers are "
                    f"{sorted(self._embeddings())}."
                )

    def _write_embeddings(self, epoch: int) -> None:
        for name, table in self._embeddings().items():
            file = self.embeddings_metadata
            if isinstance(file, dict):
                file = file.get(name)
            lines = None if file is None else self._lines(file)
            self._writer("train").add_embedding(table.numpy(), metadata=lines, global_step=epoch, tag=name)

    def _lines(self, file: str) -> list[str]:
        within = Path(self.log_dir) / file
        return (within if within.is_file() else Path(file)).read_text(encoding="utf-8").splitlines()


def _count(name: str, value: Any, least: int = 0) -> int:
    if type(value) is not int or value < least:
        raise ArgumentError(
            f"TensorBoard's `{name}` must be an integer of at least {least}. Received: {shown(value)}"
        )
    return value


def _batches(value: Any) -> tuple[int, int] | None:
    """The first and the last batch to be profiled."""
    pair = value
    try:
        if isinstance(pair, str):
            pair = [int(part) for part in pair.split(",")]
        first, last = (pair, pair) if isinstance(pair, int) else (pair[0], pair[-1])
        if len(np.atleast_1d(pair)) <= 2 and 0 <= int(first) <= int(last):
            return (int(first), int(last)) if last else None
    except (TypeError, ValueError, IndexError):
        pass
    raise ArgumentError(
        "TensorBoard's `profile_batch` must be a batch, counted from 1, or a pair of the first and the last one. "
        f"Received: {shown(value)}"
    )


def _picture(value: np.ndarray) -> np.ndarray | None:
    """A weight as gray pictures between 0 and 1, (count, height, width, 1); None if it has too many axes."""
    value = np.atleast_1d(np.squeeze(value))
    if value.ndim == 1:
        value = value[None, :, None]
    elif value.ndim == 2:
        value = (value if value.shape[0] <= value.shape[1] else value.T)[:, :, None]
    elif value.ndim == 4:
        value = value.reshape(*value.shape[:2], -1)
    elif value.ndim != 3:
        return None
    low, high = value.min(), value.max()
    value = (value - low) / (high - low) if high > low else np.zeros_like(value)
    return np.moveaxis(value[..., :MOST_CHANNELS], -1, 0)[..., None]
