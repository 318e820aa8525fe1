"""Weights alone: `.weights.h5` files, sharded `.weights.json` ones. What doesn't fit is an error."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from triceras import ops
from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError, ShapeError
from triceras.core.registry import export
from triceras.saving.atomic import replacing
from triceras.saving.store import Reader, Writer
from triceras.saving.walk import saveables

SHOWN_PROBLEMS = 10


class WeightsMismatchError(ShapeError):
    """A file's weights don't fit the model."""


def mismatch(what: str, model: Any, problems: list[str]) -> WeightsMismatchError:
    """The error that lists why a file's weights don't fit."""
    lines = problems[:SHOWN_PROBLEMS]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"... and {len(problems) - SHOWN_PROBLEMS} more")
    return WeightsMismatchError(
        f"{what} doesn't fit the model {model.name!r}:\n  "
        + "\n  ".join(lines)
        + "\nLoad into the architecture that was saved, or pass skip_mismatch=True to load what fits."
    )


def write_weights(model: Any, file: Any, skipped: Collection[Any] = ()) -> None:
    """Write all weights and the optimizer's state into an HDF5 file."""
    with Writer(file) as writer:
        for path, item in saveables(model, skipped):
            item.save_own_variables(writer.make(path, _name(item)))


def _name(item: Any) -> str:
    return str(getattr(item, "name", None) or type(item).__name__)


def read_weights(model: Any, reader: Any, skip_mismatch: bool = False, skipped: Collection[Any] = ()) -> None:
    """Take all weights from a file, or none: on an error the model is as it was.

    Raises:
        WeightsMismatchError: listing what is missing, what is left over and whose shape differs.
    """
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *(optimizer.variables if optimizer is not None else ())]
    before = [(v, ops.stop_gradient(v.raw)) for v in variables]
    stored = {path for path, slash, _ in (key.rpartition("vars/") for key in reader.arrays) if slash}
    problems, of_optimizers, visited = [], [], set()
    try:
        for path, item in saveables(model, skipped):
            visited.add(f"{path}/" if path else "")
            of_optimizer = path.partition("/")[0] == "optimizer"
            if of_optimizer and f"{path}/" not in stored:
                continue
            own = [
                (v, ops.stop_gradient(v.raw))
                for v in (item.variables if of_optimizer else item._own_variables)
            ]
            try:
                item.load_own_variables(reader.get(path))
            except FileFormatError:
                raise
            except (ArgumentError, KeyError) as error:
                for variable, value in own:
                    variable.raw = value
                (of_optimizers if of_optimizer else problems).append(
                    f"{path or 'the model itself'} ({_name(item)}): {error}"
                )
        left = [] if skipped else sorted(p for p in stored - visited if not p.startswith("optimizer/"))
        problems += [
            f"{p or 'the model itself'}: the file has weights the model has no place for" for p in left
        ]
        if problems and not skip_mismatch:
            raise mismatch(reader.what, model, problems)
    except BaseException:
        for variable, value in before:
            variable.raw = value
        raise
    for problem in problems:
        warnings.warn(f"Left as it was: {problem}", stacklevel=3)
    for problem in of_optimizers:  # no part of the model
        warnings.warn(f"The optimizer's state is left as it was. {problem}", stacklevel=3)


@export("saving.save_weights")
def save_weights(
    model: Any,
    filepath: str | Path,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    **kwargs: Any,
) -> None:
    """Save the weights (and the optimizer's state) of a model.

    Args:
        model: a built model.
        filepath: a path that ends in `.weights.h5`, or in `.weights.json` with `max_shard_size`.
        overwrite: replace an existing file; False asks on a terminal and is an error elsewhere.
        max_shard_size: split into files of at most so many gigabytes.
        **kwargs: `objects_to_skip`, layers (with all inside) that are left out.

    Raises:
        ArgumentError: the path has another ending, or the model isn't built.
        SaveError: the file couldn't be written; the old one survives.
    """
    skipped = kwargs.pop("objects_to_skip", None) or ()
    if kwargs:
        raise ArgumentTypeError(f"save_weights() got unknown arguments: {sorted(kwargs)}")
    path = Path(filepath)
    wanted = ".weights.json" if max_shard_size is not None else ".weights.h5"
    if not path.name.endswith(wanted):
        raise ArgumentError(f"save_weights() writes files that end in {wanted}. Received: {str(filepath)!r}")
    if not model.built:
        raise ArgumentError(
            f"Model {model.name!r} has no weights yet: call it on data or build it before saving them."
        )
    if not may_write(path, overwrite):
        return
    if max_shard_size is None:
        with replacing(path) as file:
            write_weights(model, file, skipped)
    else:
        _write_shards(model, path, max_shard_size, skipped)


def may_write(path: Path, overwrite: bool) -> bool:
    """Whether a file may be written; asks on a terminal."""
    import sys

    if overwrite or not path.exists():
        return True
    if not sys.stdin.isatty():
        raise ArgumentError(f"{path} exists. Pass overwrite=True to replace it.")
    return input(f"{path} exists. Replace it? [y/N] ").strip().lower() in ("y", "yes")


def _write_shards(model: Any, path: Path, gigabytes: float, skipped: Collection[Any]) -> None:
    limit, stem = gigabytes * 2**30, path.name.removesuffix(".weights.json")
    weight_map: dict[str, list[str]] = {}
    total, size, number, writer = 0, 0, -1, None
    with ExitStack() as stack:  # all files take their places at its end, the index last
        index = stack.enter_context(replacing(path))
        for place, item in saveables(model, skipped):
            values: dict[str, np.ndarray] = {}
            item.save_own_variables(values)
            for key, value in values.items():
                value = np.asarray(value)
                if value.nbytes > limit:
                    raise ArgumentError(
                        f"A weight of {place!r} has {value.nbytes:,} bytes, more than `max_shard_size`, "
                        f"{gigabytes} GB."
                    )
                if writer is None or size + value.nbytes > limit:
                    number, size = number + 1, 0
                    name = f"{stem}_{number:05d}.weights.h5"
                    writer = stack.enter_context(Writer(stack.enter_context(replacing(path.with_name(name)))))
                writer.make(place, _name(item))[key] = value
                size, total = size + value.nbytes, total + value.nbytes
                files = weight_map.setdefault(f"/{place}/vars" if place else "/vars", [])
                if name not in files:
                    files.append(name)
        index.write(
            json.dumps(
                {"metadata": {"total_size": float(total)}, "weight_map": weight_map}, indent=4
            ).encode()
        )


class Shards:
    """Several checked files read as one."""

    def __init__(self, readers: list[Reader], what: str) -> None:
        self.readers, self.what = readers, what
        self.arrays = {k: v for r in readers for k, v in r.arrays.items()}

    def get(self, path: str) -> dict[str, np.ndarray]:
        """The arrays of the layer at a path."""
        return {k: v for r in self.readers for k, v in r.get(path).items()}


@export("saving.load_weights")
def load_weights(model: Any, filepath: str | Path, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Take a model's weights from a file that `save_weights` or `save` wrote; all of them or none.

    Args:
        model: a built model of the same architecture.
        filepath: a `.weights.h5`, `.weights.json` or `.keras` file, or one of the older `.h5` format.
        skip_mismatch: load what fits and warn about the rest.
        **kwargs: `objects_to_skip`, parts of the model that are left as they are; for the older format
            `by_name`, whether layers are matched by their names instead of their order.

    Raises:
        FileNotFoundError: there is no such file.
        FileFormatError: the file is damaged, of another kind, or unsafe.
        WeightsMismatchError: the weights don't fit the model.
    """
    skipped, by_name = kwargs.pop("objects_to_skip", None) or (), kwargs.pop("by_name", False)
    if kwargs:
        raise ArgumentTypeError(f"load_weights() got unknown arguments: {sorted(kwargs)}")
    path = existing(filepath)
    if not model.built:
        raise ArgumentError(
            f"Model {model.name!r} has no weights yet: call it on data or build it before loading them."
        )
    name = path.name
    if by_name and not name.endswith((".h5", ".hdf5")):
        _only_for(False, "by_name", "is", path)
    if name.endswith(".keras"):
        from triceras.saving.archive import opened

        with opened(path) as (_, reader):
            read_weights(model, reader, skip_mismatch, skipped)
    elif name.endswith((".h5", ".hdf5")):
        from triceras.saving.legacy import is_legacy, read_legacy_weights

        with path.open("rb") as file, Reader(file, str(path)) as reader:
            if is_legacy(reader):
                _only_for(not skipped, "objects_to_skip", "isn't", path)
                read_legacy_weights(model, reader, by_name, skip_mismatch)
            else:
                _only_for(not by_name, "by_name", "is", path)
                read_weights(model, reader, skip_mismatch, skipped)
    elif name.endswith(".weights.json"):
        with ExitStack() as stack:
            readers = []
            for shard in _shard_names(path):
                file = stack.enter_context(existing(path.with_name(shard)).open("rb"))
                readers.append(stack.enter_context(Reader(file, shard)))
            read_weights(model, Shards(readers, str(path)), skip_mismatch, skipped)
    else:
        raise ArgumentError(
            "load_weights() reads files that end in .weights.h5, .weights.json, .keras or .h5. "
            f"Received: {str(filepath)!r}"
        )


def _only_for(holds: bool, argument: str, which: str, path: Path) -> None:
    if not holds:
        raise ArgumentError(
            f"load_weights(): `{argument}` is only for files whose format {which} the older one. "
            f"Received: {path}"
        )


def _shard_names(path: Path) -> list[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
        names = sorted({n for entry in found for n in ([entry] if isinstance(entry, str) else entry)})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path} isn't the index of sharded weights: {error}") from error
    for name in names:
        if os.path.basename(name) != name or not name.endswith(".weights.h5"):
            raise FileFormatError(
                f"{path} is refused: it names {name!r}, which is no weights file beside it."
            )
    return names


def existing(filepath: str | Path) -> Path:
    """The path of a file that must be there.

    Raises:
        FileNotFoundError: naming it, and near names in the same folder.
    """
    import difflib

    path = Path(filepath)
    if not path.exists():
        near = difflib.get_close_matches(path.name, os.listdir(path.parent) if path.parent.is_dir() else [])
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise FileNotFoundError(f"There is no file {str(filepath)!r}.{hint}")
    return path
