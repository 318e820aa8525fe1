"""`plot_model`: a model as a picture."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triceras.core.errors import ArgumentError, ArgumentTypeError, StateError, require
from triceras.core.registry import export
from triceras.layers.base import Layer
from triceras.models.model import Model
from triceras.models.summary import kind_of, output_shape, selected

FORMATS = ("png", "svg", "pdf", "jpg")
CHARACTER, LINE, GAP_X, GAP_Y, PADDING = 0.085, 0.2, 0.3, 0.35, 0.12  # inches
COLOURS = {"input": "#e8eef7", "layer": "#ffffff", "op": "#f3f3f3", "frozen": "#fbe9e7"}


@dataclass(eq=False)
class Box:
    """One operation on the picture: its text and its place, in inches from the top left corner."""

    lines: list[str]
    colour: str
    parents: list[Box] = field(default_factory=list)
    level: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        return max(map(len, self.lines)) * CHARACTER + 2 * PADDING

    @property
    def height(self) -> float:
        return len(self.lines) * LINE + PADDING


@export("utils.plot_model")
def plot_model(
    model: Model,
    to_file: str | Path = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw a model's layers and how they connect.

    Args:
        model: a built model.
        to_file: a .png, .svg, .pdf or .jpg file.
        show_shapes: also show the shapes that go in and come out.
        show_dtype: also show the dtypes of the outputs.
        show_layer_names: also show the layers' names.
        rankdir: "TB" draws from top to bottom, "LR" from left to right.
        expand_nested: draw the layers of models inside instead of one box.
        dpi: dots an inch.
        show_layer_activations: also show activation functions.
        show_trainable: also show whether layers are trained.
        splines: how lines run: "ortho" (with corners), "line" or "polyline" (straight), "curved" or "spline".
        **kwargs: none; there for compatibility.

    Returns:
        The picture in a notebook, otherwise None.

    Raises:
        StateError: the model isn't built.
        ArgumentError: unknown file format or direction.
    """
    path = Path(to_file)
    if path.suffix[1:].lower() not in FORMATS:
        raise ArgumentError(f"plot_model() writes {', '.join(FORMATS)} files. Received: {str(to_file)!r}")
    shown = Shown(
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested
    )
    boxes = _checked_boxes("plot_model", model, shown, rankdir, splines, kwargs)
    require("matplotlib", "plot", "plot_model()")
    _place(boxes, across=rankdir == "LR")
    _draw(boxes, path, dpi, across=rankdir == "LR", splines=splines)
    if "IPython" in sys.modules and path.suffix.lower() == ".png":
        from IPython import display

        return display.Image(filename=str(path))
    return None


@export("utils.model_to_dot")
def model_to_dot(
    model: Model,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """A model's layers and how they connect, as a graph for Graphviz; needs the library `pydot`.

    Args:
        subgraph: return a cluster, to be put into another graph.
        **kwargs: none; there for compatibility.

    All other arguments are those of `plot_model`.

    Returns:
        A `pydot.Dot`, or a `pydot.Cluster`.

    >>> from triceras import Sequential, layers
    >>> graph = model_to_dot(Sequential([layers.Input((3,)), layers.Dense(2), layers.ReLU()]))
    >>> len(graph.get_edges())
    1
    """
    shown = Shown(
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested
    )
    boxes = _checked_boxes("model_to_dot", model, shown, rankdir, splines, kwargs)
    pydot = require("pydot", "all", "model_to_dot()")
    if subgraph:
        graph = pydot.Cluster(graph_name=pydot.quote_id_if_necessary(model.name), label=model.name)
    else:
        graph = pydot.Dot(graph_type="digraph", rankdir=rankdir, dpi=dpi, splines=splines)
    graph.set_node_defaults(shape="box", style="filled", fontname="Helvetica")
    names = {id(box): f"{model.name}_{number}" for number, box in enumerate(boxes)}
    for box in boxes:
        name, label = pydot.quote_id_if_necessary(names[id(box)]), "\n".join(box.lines)
        graph.add_node(pydot.Node(name, label=label, fillcolor=box.colour))
    for box in boxes:
        for parent in box.parents:
            graph.add_edge(pydot.Edge(*map(pydot.quote_id_if_necessary, (names[id(parent)], names[id(box)]))))
    return graph


@dataclass(frozen=True)
class Shown:
    """What a picture tells of each layer."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool
    nested: bool

    def describe(self, step: Any) -> list[str]:
        """The lines in the box of an operation."""
        lines = [f"{step.name} ({kind_of(step)})" if self.names else kind_of(step)]
        activation = getattr(step, "activation", None)
        if self.activations and activation is not None:
            lines.append(f"activation: {getattr(activation, '__name__', activation)}")
        if self.shapes:
            shapes = [str(t.shape) for n in step._inbound_nodes[:1] for t in n.inputs]
            lines += ([f"in:  {', '.join(shapes)}"] if shapes else []) + [f"out: {output_shape(step)}"]
        if self.dtype:
            found = {t.dtype for n in step._inbound_nodes for t in n.outputs} or {
                getattr(step, "compute_dtype", "?")
            }
            lines.append(f"dtype: {', '.join(sorted(found))}")
        if self.trainable and isinstance(step, Layer):
            lines.append("trained" if step.trainable else "frozen")
        return lines


def _checked_boxes(
    function: str, model: Model, shown: Shown, rankdir: str, splines: str, rest: dict[str, Any]
) -> list[Box]:
    """The boxes of a model, if the arguments that both functions have are right."""
    if rest:
        raise ArgumentTypeError(f"{function}() got unknown arguments: {sorted(rest)}")
    if rankdir not in ("TB", "LR"):
        raise ArgumentError(f'`rankdir` must be "TB" or "LR". Received: {rankdir!r}')
    if splines not in ("ortho", "line", "polyline", "curved", "spline"):
        raise ArgumentError(
            f'`splines` must be "ortho", "line", "polyline", "curved" or "spline". Received: {splines!r}'
        )
    if not model.built:
        raise StateError(
            f"Model {model.name!r} isn't built, so its layers aren't connected yet. Build it or call it on data."
        )
    return list(_boxes(model, shown.describe, shown.nested, {}))


def _boxes(model: Model, describe: Any, expand: bool, made: dict[int, Box]) -> Iterator[Box]:
    """Boxes of the model's operations, parents first; `made` maps symbolic tensors to the box that they come from."""
    steps = selected(model, None)
    inside = None if model._graph is None else {id(n) for n in model._graph.nodes}
    previous: Box | None = None
    for step in steps:
        nodes = [n for n in step._inbound_nodes if inside is None or id(n) in inside or not n.inputs]
        parents = list(dict.fromkeys(made[id(t)] for n in nodes for t in n.inputs if id(t) in made))
        if inside is None and previous is not None and not parents:
            parents = [previous]
        if expand and isinstance(step, Model) and step._graph is not None:
            if nodes and parents:
                for t in step._graph.inputs:
                    made[id(t)] = parents[0]
            inner = [b for b in _boxes(step, describe, True, made)]
            yield from inner
            sources = [made[id(t)] for t in step._graph.outputs]
            for n in nodes:
                made.update({id(t): sources[min(i, len(sources) - 1)] for i, t in enumerate(n.outputs)})
            previous = inner[-1] if inner else previous
            continue
        if (
            not any(n.inputs for n in nodes)
            and all(id(t) in made for n in nodes for t in n.outputs)
            and nodes
        ):
            continue  # the input of a model inside, already connected
        kind = "input" if kind_of(step) == "InputLayer" else "layer" if isinstance(step, Layer) else "op"
        if isinstance(step, Layer) and not step.trainable:
            kind = "frozen"
        box = Box(describe(step), COLOURS[kind], parents)
        made.update({id(t): box for n in nodes for t in n.outputs})
        previous = box
        yield box


def _place(boxes: list[Box], across: bool) -> None:
    """Levels by the longest way from an input; within a level each box near its parents."""
    for box in boxes:
        box.level = max((p.level for p in box.parents), default=-1) + 1
    levels: dict[int, list[Box]] = {}
    for box in boxes:
        levels.setdefault(box.level, []).append(box)
    position = 0.0
    for level in sorted(levels):
        row = sorted(
            levels[level], key=lambda b: sum(_side(p, across) for p in b.parents) / max(len(b.parents), 1)
        )
        breadths = [b.height if across else b.width for b in row]
        start = -(sum(breadths) + GAP_X * (len(row) - 1)) / 2
        for box, breadth in zip(row, breadths, strict=True):
            centre = start + breadth / 2
            box.x, box.y = (position, centre) if across else (centre, position)
            start += breadth + GAP_X
        depth = max(b.width if across else b.height for b in row)
        for box in row:
            if across:
                box.x += depth / 2
            else:
                box.y += depth / 2
        position += depth + GAP_Y


def _side(box: Box, across: bool) -> float:
    return box.y if across else box.x


def _way(parent: Box, box: Box, boxes: list[Box], across: bool) -> list[tuple[float, float]]:
    """Corners of the line from one box to another: straight, or around the boxes that stand between."""
    if across:
        straight = [(parent.x + parent.width / 2, parent.y), (box.x - box.width / 2, box.y)]
    else:
        straight = [(parent.x, parent.y + parent.height / 2), (box.x, box.y - box.height / 2)]
    between = [b for b in boxes if parent.level < b.level < box.level]
    if not any(_crosses(straight, b) for b in between):
        return straight
    if across:
        beside = max(b.y + b.height / 2 for b in [parent, box, *between]) + GAP_X / 2
        return [
            (parent.x, parent.y + parent.height / 2),
            (parent.x, beside),
            (box.x, beside),
            (box.x, box.y + box.height / 2),
        ]
    beside = max(b.x + b.width / 2 for b in [parent, box, *between]) + GAP_X / 2
    return [
        (parent.x + parent.width / 2, parent.y),
        (beside, parent.y),
        (beside, box.y),
        (box.x + box.width / 2, box.y),
    ]


def _crosses(line: list[tuple[float, float]], box: Box) -> bool:
    (x0, y0), (x1, y1) = line
    return any(
        abs(x0 + t * (x1 - x0) - box.x) < box.width / 2 and abs(y0 + t * (y1 - y0) - box.y) < box.height / 2
        for t in (i / 40 for i in range(41))
    )


def _draw(boxes: list[Box], path: Path, dpi: int, across: bool, splines: str) -> None:
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path as Line

    around = boxes if splines not in ("line", "polyline") else []
    ways = [_way(parent, box, around, across) for box in boxes for parent in box.parents]
    curve = [Line.MOVETO, Line.CURVE4, Line.CURVE4, Line.CURVE4]
    xs = [x for w in ways for x, _ in w] + [b.x + s * b.width / 2 for b in boxes for s in (-1, 1)]
    ys = [y for w in ways for _, y in w] + [b.y + s * b.height / 2 for b in boxes for s in (-1, 1)]
    left, right, top, bottom = min(xs) - 0.3, max(xs) + 0.3, min(ys) - 0.3, max(ys) + 0.3
    width, height = right - left, bottom - top
    dots = min(dpi, 60_000 / max(width, height))  # the largest picture that can be written
    figure = Figure(figsize=(width, height), dpi=dots, facecolor="white")
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(left, right), ylim=(bottom, top))
    axis.axis("off")
    for way in ways:
        axis.add_patch(
            FancyArrowPatch(
                path=Line(way, curve if len(way) == 4 and splines != "ortho" else None),
                arrowstyle="-|>",
                mutation_scale=10,
                color="#555555",
                lw=1,
            )
        )
    for box in boxes:
        corner = (box.x - box.width / 2, box.y - box.height / 2)
        shape = FancyBboxPatch(corner, box.width, box.height, boxstyle="round,pad=0,rounding_size=0.05")
        shape.set(facecolor=box.colour, edgecolor="#333333", linewidth=1)
        axis.add_patch(shape)
        first = box.y - (len(box.lines) - 1) * LINE / 2
        for i, line in enumerate(box.lines):
            weight = "bold" if i == 0 else "normal"
            axis.text(
                box.x,
                first + i * LINE,
                line,
                ha="center",
                va="center",
                fontsize=9,
                weight=weight,
                family="monospace",
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
