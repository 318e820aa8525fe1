"""The table that `model.summary()` prints, and what plots of a model show."""

from __future__ import annotations

import io
import math
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from triceras.core import tree
from triceras.core.dtypes import BYTES
from triceras.core.errors import ArgumentError
from triceras.core.spec import KerasTensor
from triceras.layers.base import Layer
from triceras.models.model import Model
from triceras.models.sequential import Sequential
from triceras.variable import Variable

WIDTH = 80


def count_params(variables: Sequence[Variable]) -> int:
    """How many numbers variables hold."""
    return sum(math.prod(v.shape) for v in variables)


def readable_size(variables: Sequence[Variable]) -> str:
    """Memory of variables, such as "1.61 MB"."""
    size: float = sum(math.prod(v.shape) * BYTES.get(v.dtype, 4) for v in variables)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024 or unit == "TB":
            return f"{size:.2f} {unit}"
        size /= 1024
    raise AssertionError


def kind_of(step: Any) -> str:
    """The class of a layer, or an op's name in the form of one: "Dense", "GetItem"."""
    return (
        type(step).__name__
        if isinstance(step, Layer)
        else "".join(p.title() for p in step.op.name.split("_"))
    )


def output_shape(layer: Layer) -> str:
    """The shape of a layer's outputs as text; "?" while unknown."""
    if isinstance(layer, Model) and layer._graph is not None:
        return _shape_text(layer.output)
    if not layer._inbound_nodes:
        return _shape_from_build(layer)
    shapes = {_shape_text(n.outputs[0] if len(n.outputs) == 1 else n.outputs) for n in layer._inbound_nodes}
    return shapes.pop() if len(shapes) == 1 else "multiple"


def _shape_from_build(layer: Any) -> str:
    """For layers inside a subclassed model, which were never called symbolically."""
    shapes = getattr(layer, "_build_shapes", None) or {}
    if not layer.built or not shapes or any(s is None for s in shapes.values()):
        return "?"
    try:
        anyhow = tree.map_shape_structure(lambda s: (None, *s[1:]), list(shapes.values()))
        return _shape_text(
            tree.map_shape_structure(lambda s: KerasTensor(s), layer.compute_output_shape(*anyhow))
        )
    except Exception:  # a table of layers must not fail over a shape
        return "?"


def _shape_text(outputs: Any) -> str:
    shapes = tree.map_structure(lambda t: t.shape if isinstance(t, KerasTensor) else None, outputs)
    return str(shapes)


def connections(layer: Any, inside: set[int] | None) -> Iterator[str]:
    """Where a layer's inputs come from, as `name[call][output]`."""
    for node in layer._inbound_nodes:
        if inside is not None and id(node) not in inside:
            continue
        for t in node.inputs:
            if t.history is not None:
                source, index = t.history
                call = next((i for i, n in enumerate(source.operation._inbound_nodes) if n is source), 0)
                yield f"{source.operation.name}[{call}][{index}]"


def is_simple(model: Model) -> bool:
    """Whether each layer feeds just the next one, so that connections needn't be shown."""
    if isinstance(model, Sequential) or model._graph is None:
        return True
    return (
        len(model.inputs) == 1
        and all(len(n.inputs) == 1 and len(n.outputs) == 1 for n in model._graph.nodes)
        and (len({id(n.inputs[0]) for n in model._graph.nodes}) == len(model._graph.nodes))
    )


def selected(model: Model, layer_range: Sequence[str] | None) -> list[Any]:
    """The model's operations from the first to the last that a pair of names or patterns matches."""
    steps = model.layers if isinstance(model, Sequential) or model._graph is None else model._graph.operations
    if layer_range is None:
        return steps
    if len(layer_range) != 2 or not all(isinstance(r, str) for r in layer_range):
        raise ArgumentError(
            f"`layer_range` must be a pair of layer names or patterns. Received: {layer_range!r}"
        )
    first = next((i for i, s in enumerate(steps) if re.match(layer_range[0], s.name)), None)
    last = next((i for i, s in reversed(list(enumerate(steps))) if re.match(layer_range[1], s.name)), None)
    if first is None or last is None:
        raise ArgumentError(f"No layers match {layer_range!r}. The layers are: {[s.name for s in steps]}")
    return steps[min(first, last) : max(first, last) + 1]


def print_summary(
    model: Model,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], None] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print a model's layers with shapes and sizes; see `Model.summary`."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    to_terminal = print_fn is None
    width = line_length or (
        max(WIDTH, min(shutil.get_terminal_size((WIDTH, 24)).columns, 100)) if to_terminal else WIDTH
    )
    console = Console(
        width=width, file=None if to_terminal else io.StringIO(), highlight=False, no_color=not to_terminal
    )
    simple = is_simple(model)
    columns = ["Layer (type)", "Output Shape", "Param #"] + ([] if simple else ["Connected to"])
    columns += ["Trainable"] if show_trainable else []
    table = Table(width=width, header_style="bold", show_lines=True)
    widths = _column_widths(positions, len(columns), width)
    for column, wide in zip(columns, widths, strict=True):
        table.add_column(
            column,
            justify="right" if column == "Param #" else "left",
            width=wide,
            ratio=None if wide else _RATIO[column],
        )
    inside = None if model._graph is None else {id(n) for n in model._graph.nodes}

    def rows(steps: Sequence[Any], depth: int, inside: set[int] | None) -> Iterator[list[str]]:
        for step in steps:
            is_layer = isinstance(step, Layer)
            unbuilt = is_layer and not step.built
            row = [
                escape("    " * depth + f"{step.name} ({kind_of(step)})"),
                escape(output_shape(step)),
                "0 (unbuilt)" if unbuilt else f"{count_params(step.weights):,}" if is_layer else "0",
            ]
            if not simple:
                row.append(escape(", ".join(connections(step, inside)) or "-"))
            if show_trainable:
                row.append(("Y" if step.trainable else "N") if is_layer and step.weights else "-")
            yield row
            if expand_nested and isinstance(step, Model):
                nested = None if step._graph is None else {id(n) for n in step._graph.nodes}
                yield from rows(selected(step, None), depth + 1, nested)

    for row in rows(selected(model, layer_range), 0, inside):
        table.add_row(*row)
    console.print(f"[bold]Model: {escape(repr(model.name))}[/bold]".replace("'", '"'))
    console.print(table)
    trained, frozen = model.trainable_weights, model.non_trainable_weights
    slots = model.optimizer.variables if model.optimizer is not None and model.optimizer.built else []
    for title, variables in (
        ("Total params", [*trained, *frozen, *slots]),
        ("Trainable params", trained),
        ("Non-trainable params", frozen),
        *((("Optimizer params", slots),) if slots else ()),
    ):
        console.print(f"[bold] {title}: [/bold]{count_params(variables):,} ({readable_size(variables)})")
    if print_fn is not None:
        print_fn(console.file.getvalue())


_RATIO = {"Layer (type)": 40, "Output Shape": 30, "Param #": 18, "Connected to": 30, "Trainable": 12}


def _column_widths(positions: Sequence[float] | None, count: int, width: int) -> list[int | None]:
    """Widths from the ends of the columns, given as fractions of the line or in characters."""
    if positions is None:
        return [None] * count
    ends = [round(p * width) if p <= 1 else round(p) for p in positions]
    if len(ends) < count:
        raise ArgumentError(f"`positions` needs {count} entries. Received: {list(positions)}")
    return [max(end - start - 3, 1) for start, end in zip([0, *ends], ends[:count])]
