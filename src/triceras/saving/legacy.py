"""The older HDF5 files: weights by layer in the order of the model, and whole models.

Such a file has a group a layer. Its attributes list the layers (`layer_names`) and the weights of each
(`weight_names`); a whole model's has the config in an attribute, too, and the weights in `model_weights`.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

from triceras import ops
from triceras.core.errors import ArgumentError, FileFormatError
from triceras.saving.store import Reader
from triceras.saving.weights import mismatch
from triceras.variable import Variable

INSIDE, OWN = "model_weights", "top_level_model_weights"


def is_legacy(reader: Reader) -> bool:
    """Whether a file lists its layers as the older format does."""
    return any(reader.texts(group, "layer_names") is not None for group in ("", INSIDE))


def read_legacy_weights(
    model: Any, reader: Reader, by_name: bool = False, skip_mismatch: bool = False
) -> None:
    """Take all weights from a file, or none: on an error the model is as it was.

    Args:
        model: a built model.
        reader: the file.
        by_name: match layers by name, and leave those alone that only one side has; else by order.
        skip_mismatch: load what fits and warn about the rest.

    Raises:
        WeightsMismatchError: listing what doesn't fit.
    """
    root = "" if reader.texts("", "layer_names") is not None else INSIDE
    stored = {name: _arrays(reader, root, name) for name in reader.texts(root, "layer_names") or ()}
    pairs, problems = (_by_name if by_name else _by_order)(model, stored)
    own, arrays = model._own_variables, _arrays(reader, root, OWN)
    if own and (arrays or not by_name):
        pairs.append((model, own, arrays))
    fitting = []
    for layer, variables, paths in pairs:
        shapes = [reader.arrays[path] for path in paths]
        variables = _in_order_of(paths, shapes, layer, variables)
        if [tuple(v.shape) for v in variables] == shapes:
            fitting += zip(variables, paths, strict=True)
        else:
            expected = ", ".join(f"{v.name} {tuple(v.shape)}" for v in variables)
            found = ", ".join(map(str, shapes)) or "none"
            problems.append(f"{layer.name}: expected weights {expected or 'none'}; the file holds {found}.")
    if problems and not skip_mismatch:
        raise mismatch(reader.what, model, problems)
    before = [(v, ops.stop_gradient(v.raw)) for v, _ in fitting]
    try:
        for variable, path in fitting:
            variable.assign(reader.array(path))
    except BaseException:
        for variable, value in before:
            variable.raw = value
        raise
    for problem in problems:
        warnings.warn(f"Left as it was: {problem}", stacklevel=3)


def _arrays(reader: Reader, root: str, layer: str) -> list[str]:
    """Paths of a layer's arrays, in the order of the file."""
    group = f"{root}/{layer}" if root else layer
    paths = [f"{group}/{name}" for name in reader.texts(group, "weight_names") or ()]
    for path in paths:
        if path not in reader.arrays:
            raise FileFormatError(f"{reader.what} is damaged: the array {path!r} that it lists isn't there.")
    return paths


Pairs = list[tuple[Any, list[Variable], list[str]]]


def _by_order(model: Any, stored: dict[str, list[str]]) -> tuple[Pairs, list[str]]:
    layers = [layer for layer in model.layers if layer.weights]
    files = {name: paths for name, paths in stored.items() if paths}
    problems = []
    if len(layers) != len(files):
        names = {layer.name for layer in layers}
        problems.append(f"the model has {len(layers)} layers with weights, the file {len(files)}")
        problems += [f"{name}: only the file has a layer of this name" for name in files if name not in names]
        problems += [f"{n}: only the model has a layer of this name" for n in names if n not in files]
    return [(x, x.weights, paths) for x, paths in zip(layers, files.values(), strict=False)], problems


def _by_name(model: Any, stored: dict[str, list[str]]) -> tuple[Pairs, list[str]]:
    return [(x, x.weights, stored[x.name]) for x in model.layers if x.name in stored], []


def _in_order_of(
    paths: list[str], shapes: list[tuple[int, ...]], layer: Any, variables: list[Variable]
) -> list[Variable]:
    """A layer's variables in the order of the file's: by path if all agree, else in an order that fits.

    Trained weights come before others, and what counted as trained when the file was written isn't known.
    """
    names = [path.removesuffix(":0") for path in paths]
    by_path = {v.path: v for v in variables}
    found = [next((v for p, v in by_path.items() if name.endswith(f"/{p}")), None) for name in names]
    known = {id(v): v for v in found if v is not None}
    if len(known) == len(variables) == len(found):
        return list(known.values())
    orders = [
        sorted(variables, key=lambda v: not v.trainable),
        sorted(variables, key=lambda v: not (v.trainable and not v.frozen)),
        variables,
    ]
    fitting = [order for order in orders if [tuple(v.shape) for v in order] == shapes]
    last = [name.rpartition("/")[2] for name in names]
    return next((o for o in fitting if [v.name for v in o] == last), (fitting or orders)[0])


# -- whole models -----------------------------------------------------------------------------------


def read_config(reader: Reader) -> dict[str, Any]:
    """The config of a whole model's file, its training setup included, in the form of the `.keras` format."""
    config = _json(reader, "model_config")
    if config is None:
        raise FileFormatError(
            f"{reader.what} holds no model, only weights. Build the model and call load_weights() on it."
        )
    training = _json(reader, "training_config")
    if isinstance(training, dict) and isinstance(config, dict):
        setup = {k: v for k, v in training.items() if k not in ("optimizer_config", "sample_weight_mode")}
        config["compile_config"] = {"optimizer": training.get("optimizer_config"), **setup}
    return config


def _json(reader: Reader, name: str) -> Any:
    text = reader.text("", name)
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{name!r} in {reader.what} is no valid JSON: {error}") from error


def read_optimizer(model: Any, reader: Reader) -> None:
    """Take the optimizer's state from a whole model's file, if it is there and fits."""
    paths = _arrays(reader, "", "optimizer_weights")
    if model.optimizer is None or not paths:
        return
    try:
        model.optimizer.load_own_variables({str(i): reader.array(path) for i, path in enumerate(paths)})
    except ArgumentError as error:
        warnings.warn(f"The optimizer's state starts anew. {error}", stacklevel=3)
