"""Whether a model computes the same on every engine: `model.verify()`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from triceras import ops
from triceras.core import tree
from triceras.core.errors import ArgumentError, StateError
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.engine.contract import StateScope, state
from triceras.layers.base import Layer
from triceras.layers.input_layer import InputLayer
from triceras.models.tables import rendered
from triceras.moving import Move

BATCH, UNKNOWN = 4, 32  # sizes of generated data
# relative ones, by the least precise compute dtype; GPUs multiply float32 with 10 bits of mantissa
TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2, "gpu": 5e-3, "float32": 1e-4}


@dataclass(frozen=True)
class VerifyRow:
    """How much one engine differs from the first one in one value.

    Args:
        kind: "output" of a layer or "gradient" of a variable.
        path: of the layer or the variable; further calls of a layer end in `#2`, further outputs in `[1]`.
        engine: the one that is compared.
        absolute: the largest difference.
        relative: the same, as a part of the largest number there.
        ok: whether that is within the tolerances.
    """

    kind: str
    path: str
    engine: str
    absolute: float
    relative: float
    ok: bool


class Verification:
    """What `model.verify` found; it prints as a table.

    Attributes:
        engines: those that were compared, the one that gives the expected values first.
        rows: a `VerifyRow` for each value and engine.
        training: whether the model ran as in training; not where it draws random numbers.
        ok: whether all rows are.
    """

    def __init__(self, name: str, engines: Sequence[str], rows: Sequence[VerifyRow], training: bool) -> None:
        self.name, self.engines, self.rows, self.training = name, list(engines), list(rows), training

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def __str__(self) -> str:
        found: dict[tuple[str, str], dict[str, str]] = {}
        for row in self.rows:
            text = f"{row.absolute:.1e}{'' if row.ok else ' !'}"  # short: the path must have room
            found.setdefault((row.kind, row.path), {})[row.engine] = text
        others = self.engines[1:]
        rows = [
            [kind, path, *(cells.get(name, "-") for name in others)] for (kind, path), cells in found.items()
        ]
        wrong = sum(not row.ok for row in self.rows)
        mode = "training" if self.training else "inference"
        verdict = "All agree." if self.ok else f"{wrong} of {len(self.rows)} values differ (marked !)."
        return rendered(
            f"Model {self.name!r}: largest difference from {self.engines[0]}, as in {mode}",
            ["value", "path", *(f"{name} >" for name in others)],
            rows,
            verdict,
        )

    __repr__ = __str__


def verify(
    model: Any, x: Any, y: Any, engines: Sequence[str] | None, rtol: float | None, atol: float
) -> Verification:
    """See `Model.verify`."""
    names = list(engines) if engines else [n for n in selection.MODULES if selection.installed(n)]
    names.sort(key=lambda n: n != model.engine)
    if len(names) < 2:
        raise ArgumentError(f"verify() compares engines, so it needs two. There is {names}.")
    if x is None:
        x = _generated(model)
    x, y = (tree.map_structure(ops.convert_to_numpy, v) if v is not None else None for v in (x, y))
    with model._home():
        model._ensure_built(
            (x,) if y is None else (x, y), "predict" if y is None or model.loss is None else "test"
        )
    training = not any(layer._seed_generators() for layer in model._flatten_layers())
    if rtol is None:
        kinds = {layer.compute_dtype for layer in model._flatten_layers()} | {"float32"}
        kinds |= {
            (_device(model, name) or selection.get(name).devices()[0]).partition(":")[0] for name in names
        }
        rtol = max(TOLERANCES.get(kind, 0.0) for kind in kinds)
    expected: dict[tuple[str, str], np.ndarray] = {}
    rows = []
    for name in names:
        found = _values_on(name, model, x, y, training)
        expected = expected or found
        if found is not expected:
            rows += [
                _row(kind, path, name, expected[kind, path], value, rtol, atol)
                for (kind, path), value in found.items()
                if (kind, path) in expected
            ]
    return Verification(model.name, names, rows, training)


def _row(
    kind: str, path: str, engine: str, expected: np.ndarray, found: np.ndarray, rtol: float, atol: float
) -> VerifyRow:
    if expected.shape != found.shape:
        return VerifyRow(kind, path, engine, np.inf, np.inf, False)
    a, b = expected.astype("complex128"), found.astype("complex128")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    difference = np.abs(np.where(same, 0, a - b)).max(initial=0.0)
    largest = np.abs(np.where(np.isfinite(a), a, 0)).max(initial=0.0)
    relative = difference / largest if largest else float(difference > 0)
    return VerifyRow(
        kind, path, engine, float(difference), float(relative), bool(difference <= atol + rtol * largest)
    )


def _values_on(name: str, model: Any, x: Any, y: Any, training: bool) -> dict[tuple[str, str], np.ndarray]:
    """Outputs of all layers and gradients of all weights on an engine; the model comes back as it was."""
    engine = selection.get(name)
    found: dict[tuple[str, str], np.ndarray] = {}
    move = Move(engine, _device(model, name), copy=True)
    try:
        move.visit(model)
        with model._home(), state(StateScope((), ())):  # nothing is assigned
            tensors = tree.map_structure(engine.make, x)
            with _watched(model, found, engine):
                y_pred = model(tensors, training=training)
            if not tree.flatten(y_pred):
                raise StateError(f"Model {model.name!r} returns nothing to compare.")
            variables = model.trainable_variables
            if engine.differentiates and variables:
                _, gradients = engine.value_and_grad(_loss(model, tensors, y, training), variables)()
                for variable, gradient in zip(variables, gradients, strict=True):
                    found["gradient", variable.path] = engine.to_numpy(gradient)
    finally:
        model._clear_losses()
        move.swap()
    return found


def _device(model: Any, engine: str) -> str | None:
    """The model's device, where an engine has that one too."""
    return model.device if model.device in selection.get(engine).devices() else None


def _loss(model: Any, x: Any, y: Any, training: bool) -> Callable[[], Any]:
    """The compiled loss where there are targets, else the mean of the squared outputs."""

    def loss() -> Any:
        y_pred = model(x, training=training)
        if y is not None and model.loss is not None:
            targets = tree.map_structure(selection.current().make, y)
            return model.compute_loss(x=x, y=targets, y_pred=y_pred, training=training)
        floats = [ops.cast(p, "float32") for p in tree.flatten(y_pred)]
        return sum([ops.mean(ops.square(p)) for p in floats] + model.losses)

    return loss


@contextmanager
def _watched(model: Any, found: dict[tuple[str, str], np.ndarray], engine: Any) -> Iterator[None]:
    """A block in which what the layers return is written down."""
    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, InputLayer)]

    def watch(layer: Layer) -> Callable[..., Any]:
        call, calls = layer.call, []

        def watched(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            calls.append(None)
            for i, tensor in enumerate(tree.flatten(outputs)):
                path = layer.path + (f"#{len(calls)}" if len(calls) > 1 else "") + (f"[{i}]" if i else "")
                try:
                    found["output", path] = np.array(engine.to_numpy(tensor))
                except Exception:  # inside a loop that the engine traces
                    continue
            return outputs

        return watched

    try:
        for layer in layers:
            layer.__dict__["call"] = watch(layer)
            layer.__dict__.pop("_known", None)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("call", None)


def _generated(model: Any) -> Any:
    """Inputs of the shapes that the model was built for: normal numbers, or indices where it looks up."""
    if model._graph is not None:
        specs = model.input
    else:
        shapes = (model._build_shapes or {}).get("input_shape")
        if shapes is None:
            raise ArgumentError(
                f"The shape of the inputs of model {model.name!r} isn't known. Give verify() some: verify(x)."
            )
        specs = tree.map_shape_structure(lambda s: KerasTensor(s, model.compute_dtype), shapes)
    rows = [
        v.shape[0]
        for layer in model._flatten_layers()
        if type(layer).__name__ == "Embedding"
        for v in layer.weights
    ]
    random = np.random.default_rng(0)

    def values(spec: Any) -> np.ndarray:
        batch, *rest = spec.shape
        shape = (batch or BATCH, *(UNKNOWN if size is None else size for size in rest))
        if rows or "int" in spec.dtype:
            return random.integers(0, min(rows, default=2), shape).astype(spec.dtype)
        return random.normal(size=shape).astype(spec.dtype)

    return tree.map_structure(values, specs)
