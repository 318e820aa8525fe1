"""Weights in a file, looked at and changed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from triceras.core.errors import ArgumentError, NotFoundError, shown
from triceras.core.registry import export
from triceras.saving.archive import opened
from triceras.saving.atomic import replacing
from triceras.saving.store import Reader, Writer
from triceras.saving.walk import saveables
from triceras.saving.weights import existing

Arrays = dict[str, np.ndarray]


class UnknownObjectError(NotFoundError, ValueError):
    """A file has no object, or no weight, of that name."""


@export("saving.KerasFileEditor")
class KerasFileEditor:
    """Shows the weights in a file, compares them with a model's, and changes them for another one to load.

    An object, such as a layer, is named by its path, or by the last part of it where that is unique.

    Args:
        filepath: a `.keras` or `.weights.h5` file, which is never changed itself.

    Attributes:
        config: the model's config, in a `.keras` file.

    Raises:
        ArgumentError: the file has another ending.
        FileFormatError: the file is damaged or unsafe.

    >>> import tempfile
    >>> from triceras import Sequential, layers
    >>> path = tempfile.mkdtemp() + "/small.weights.h5"
    >>> Sequential([layers.Input((2,)), layers.Dense(3)]).save_weights(path)
    >>> editor = KerasFileEditor(path)
    >>> editor.rename_object("dense", "first")
    >>> list(editor.weights_dict["layers"]["first"])
    ['0', '1']
    """

    def __init__(self, filepath: str | Path) -> None:
        self.filepath = str(filepath)
        self.config: dict[str, Any] | None = None
        path = existing(filepath)
        if path.suffix == ".keras":
            with opened(path) as (config, reader):
                self.config = config
                self._read(reader)
        elif path.name.endswith(".weights.h5"):
            with path.open("rb") as file, Reader(file, str(path)) as reader:
                self._read(reader)
        else:
            raise ArgumentError(
                f"KerasFileEditor reads files that end in .keras or .weights.h5. Received: {self.filepath!r}"
            )

    def _read(self, reader: Reader) -> None:
        """The arrays by the path of their object, and the names that layers had."""
        self._objects: dict[str, Arrays] = {}
        self._names: dict[str, str | None] = {}
        for full in reader.arrays:
            path, _, name = full.rpartition("/")
            path = path.removesuffix("vars").rstrip("/")
            self._objects.setdefault(path, {})[name] = reader.array(full)
            self._names[path] = reader.text(full.rpartition("/")[0], "name")

    @property
    def weights_dict(self) -> dict[str, Any]:
        """The arrays in dicts, nested as their objects are."""
        nested: dict[str, Any] = {}
        for path, arrays in self._objects.items():
            place = nested
            for part in path.split("/") if path else ():
                place = place.setdefault(part, {})
            place.update(arrays)
        return nested

    # -- looking ---------------------------------------------------------------------------------------------

    def summary(self) -> None:
        """Print which weights there are, with shapes and dtypes."""
        from rich.console import Console
        from rich.markup import escape
        from rich.tree import Tree

        def grow(branch: Tree, part: Mapping[str, Any]) -> None:
            for name, value in part.items():
                if isinstance(value, Mapping):
                    grow(branch.add(escape(name)), value)
                else:
                    branch.add(f"{escape(name)}: shape={value.shape}, dtype={value.dtype}")

        root = Tree(escape(f"Weights in {self.filepath!r}"))
        grow(root, self.weights_dict)
        Console(highlight=False).print(root)

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Compare with the weights of a built model, and print what differs.

        Returns:
            `status`, which is "success" or "error", `error_count` and `match_count`.
        """
        wanted: dict[str, Arrays] = {}
        for path, item in saveables(reference_model, (getattr(reference_model, "optimizer", None),)):
            item.save_own_variables(wanted.setdefault(path, {}))
        found = {p: arrays for p, arrays in self._objects.items() if p.partition("/")[0] != "optimizer"}
        errors, matches = [], 0
        for path, arrays in wanted.items():
            mine = found.get(path, {})
            for name in [*arrays, *(n for n in mine if n not in arrays)]:
                shapes = [part[name].shape if name in part else None for part in (arrays, mine)]
                if shapes[0] == shapes[1]:
                    matches += 1
                else:
                    errors.append(
                        f"{path}/{name}: {_said(shapes[0])} in the model, {_said(shapes[1])} in the file"
                    )
        errors += [f"{path}: not in the model" for path in found if path not in wanted]
        for error in errors:
            print(f"  {error}")
        print(
            f"The file fits the model: {matches} weights are alike."
            if not errors
            else f"The file doesn't fit the model: {len(errors)} differences, {matches} weights are alike."
        )
        status = "error" if errors else "success"
        return {"status": status, "error_count": len(errors), "match_count": matches}

    # -- changing --------------------------------------------------------------------------------------------

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object, with all below it, another name in its place.

        Args:
            object_name: a path, or its last part.
            new_name: the new last part.
        """
        path = self._find(object_name)
        if "/" in new_name or not new_name:
            raise ArgumentError(f"`new_name` is a name, not a path. Received: {new_name!r}")
        parent, slash, _ = path.rpartition("/")
        self._free(f"{parent}{slash}{new_name}")
        self._move(path, lambda old: f"{parent}{slash}{new_name}{old[len(path) :]}")

    def delete_object(self, object_name: str) -> None:
        """Remove an object, with all below it."""
        self._move(self._find(object_name), lambda old: None)

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Add an object with weights.

        Args:
            object_path: where, below something that there is.
            weights: arrays by their names in the file, which are numbers as a rule: "0", "1".
        """
        parent = object_path.rpartition("/")[0]
        if parent and not any(self._below(parent)):
            raise UnknownObjectError(f"There is no {parent!r} in the file. {self._known()}")
        self._free(object_path)
        self._objects[object_path] = _arrays(weights)

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Add weights to an object, or replace those that have their names."""
        self._objects.setdefault(self._find(object_name), {}).update(_arrays(weights))

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Remove a weight of an object."""
        path = self._find(object_name)
        if weight_name not in self._objects.get(path, {}):
            raise UnknownObjectError(
                f"{path!r} has no weight {weight_name!r}. It has: {', '.join(self._objects.get(path, {})) or 'none'}"
            )
        del self._objects[path][weight_name]

    def save(self, filepath: str | Path) -> None:
        """Write all weights as they are now.

        Args:
            filepath: a path that ends in `.weights.h5`.
        """
        path = Path(filepath)
        if not path.name.endswith(".weights.h5"):
            raise ArgumentError(f"save() writes files that end in .weights.h5. Received: {str(filepath)!r}")
        with replacing(path) as file, Writer(file) as writer:
            for place, arrays in self._objects.items():
                group = writer.make(place, self._names.get(place))
                for name, array in arrays.items():
                    group[name] = array

    def resave_weights(self, filepath: str | Path) -> None:
        """Another name of `save`."""
        self.save(filepath)

    # -- paths -----------------------------------------------------------------------------------------------

    def _below(self, path: str) -> Iterator[str]:
        """The paths of an object and of all in it that have weights."""
        return (p for p in self._objects if p == path or p.startswith(f"{path}/"))

    def _paths(self) -> list[str]:
        """All objects, those without weights of their own too."""
        parts = [p.split("/") for p in self._objects if p]
        return list(dict.fromkeys("/".join(p[: i + 1]) for p in parts for i in range(len(p))))

    def _find(self, name: str) -> str:
        found = [p for p in self._paths() if name in (p, p.rpartition("/")[2])]
        exact = [p for p in found if p == name] or found
        if not exact:
            raise UnknownObjectError(f"There is no object {name!r} in the file. {self._known()}")
        if len(exact) > 1:
            raise ArgumentError(
                f"Several objects are called {name!r}; give the path of one: {', '.join(exact)}"
            )
        return exact[0]

    def _free(self, path: str) -> None:
        if any(self._below(path)):
            raise ArgumentError(f"There is an object {path!r} already. Delete or rename it first.")

    def _known(self) -> str:
        return f"It has: {shown(self._paths(), 400)}"

    def _move(self, path: str, place: Callable[[str], str | None]) -> None:
        """Put an object, and all below it, elsewhere; None is nowhere."""
        moved = {old: place(old) for old in self._below(path)}
        for table in (self._objects, self._names):
            kept = {moved.get(old, old): value for old, value in table.items()}
            kept.pop(None, None)
            table.clear()
            table.update(kept)


def _arrays(weights: Mapping[str, Any]) -> Arrays:
    if not isinstance(weights, Mapping) or any(not isinstance(n, str) or "/" in n or not n for n in weights):
        raise ArgumentError(
            f"`weights` must be a dict of arrays by name, such as '0'. Received: {shown(weights)}"
        )
    found = {name: np.asarray(value) for name, value in weights.items()}
    wrong = [name for name, array in found.items() if array.dtype.kind not in "fiubV"]
    if wrong:
        raise ArgumentError(f"`weights` must hold numbers; these hold something else: {wrong}")
    return found


def _said(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else f"shape {shape}"
