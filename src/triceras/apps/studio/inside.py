"""A network seen at work on one image: what each layer made, and the arithmetic behind any value of it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import triceras as keras
from triceras.visualization.watching import watched

MOST_MAPS = 64  # maps of a layer that are sent, the strongest ones
MOST_CELLS = 64  # rows or columns of a small map
MOST_TERMS = 24  # terms of a sum that are listed, the largest ones
MOST_VALUES = 1024  # numbers of a vector that are sent


@dataclass(frozen=True)
class Step:
    """What one layer did.

    Attributes:
        layer: that did it.
        inputs: what came in, each without the batch's axis, channels last.
        output: what went out.
    """

    layer: Any
    inputs: list[np.ndarray]
    output: np.ndarray

    @property
    def kind(self) -> str:
        return type(self.layer).__name__


class Recorder(keras.Model):
    """A model that returns what each layer of another one took and gave, models inside models included.

    Run by `predict_on_batch` it is compiled as a whole, which matters where each op is compiled by itself
    otherwise. The other model must not run elsewhere meanwhile.

    Args:
        model: of any kind.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.found: Any = None  # of each call: layer, numbers of the tensors that came and went

    def call(self, images: Any) -> list[Any]:
        tensors: dict[int, tuple[int, Any]] = {}

        def number(tensor: Any) -> int:
            return tensors.setdefault(id(tensor), (len(tensors), tensor))[0]

        with watched(self.model) as calls:
            self.model(images, training=False)
        layers = self.model._flatten_layers()
        whole = [layer for layer in layers if not isinstance(layer, keras.Model)]
        parts = {id(part) for layer in whole for part in layer._flatten_layers(include_self=False)}
        found = []
        for call in calls:
            went = keras.tree.flatten(call.outputs)
            if went and not isinstance(call.layer, keras.Model) and id(call.layer) not in parts:
                came = [t for t in keras.tree.flatten(call.inputs) if hasattr(t, "shape")]
                found.append((call.layer, [number(t) for t in came], number(went[0])))
        self.found = tuple(found)
        return [tensor for _, tensor in tensors.values()]

    def record(self, batch: np.ndarray) -> list[Step]:
        """What each layer does with one image.

        Args:
            batch: the image alone, as the model takes it.
        """
        arrays = [np.asarray(a, "float32") for a in self.predict_on_batch(batch)]
        arrays = [a[0] if a.ndim else a for a in arrays]

        def shaped(layer: Any, i: int) -> np.ndarray:
            first = getattr(layer, "data_format", None) == "channels_first" and arrays[i].ndim == 3
            return np.moveaxis(arrays[i], 0, -1) if first else arrays[i]

        return [
            Step(layer, [shaped(layer, i) for i in came], shaped(layer, went))
            for layer, came, went in self.found
        ]


# -- all of a network ----------------------------------------------------------------------------------------


def overview(steps: list[Step]) -> list[dict[str, Any]]:
    """Each step as plain data for the page: names, shapes, what it is for, small pictures of its maps."""
    return [{"index": i, **described(step), **pictured(step.output)} for i, step in enumerate(steps)]


def described(step: Step) -> dict[str, Any]:
    """A layer in words."""
    layer = step.layer
    return {
        "name": layer.name,
        "kind": step.kind,
        "shape": list(step.output.shape),
        "inputShape": list(step.inputs[0].shape) if step.inputs else [],
        "parameters": int(layer.count_params()),
        "activation": activation_name(layer),
        "about": about(step),
        "explained": explanation(step) is not None,
    }


def activation_name(layer: Any) -> str | None:
    name = getattr(getattr(layer, "activation", None), "__name__", None)
    return None if name == "linear" else name


def about(step: Step) -> str:
    """One or two sentences on what a layer does, with its own numbers."""
    layer, kind = step.layer, step.kind
    after = {"relu": " Negative results become 0 (ReLU).", "softmax": " Softmax makes them probabilities."}
    end = after.get(activation_name(layer) or "", "")
    if kind == "Conv2D":
        rows, columns = layer.kernel_size
        maps = step.inputs[0].shape[-1] // layer.groups
        over = "the image" if maps == 1 else f"{maps} maps at once"
        size = f"{rows} by {columns}"
        return f"Slides {layer.filters} kernels of {size} over {over}; each seeks a pattern.{end}"
    if kind == "DepthwiseConv2D":
        return f"Slides a kernel of its own over each map.{end}"
    if kind in ("MaxPooling2D", "MinPooling2D", "AveragePooling2D"):
        rows, columns = layer.pool_size
        kept = {"Max": "the largest value", "Min": "the smallest value", "Average": "the mean"}[
            kind.removesuffix("Pooling2D")
        ]
        return f"Keeps {kept} of each {rows} by {columns} window: smaller maps, less bound to exact places."
    if kind == "Dense":
        return (
            f"{layer.units} sums over all {step.inputs[0].shape[-1]} inputs, with weights of their own.{end}"
        )
    return {
        "GlobalAveragePooling2D": "Each map becomes one number, its mean.",
        "GlobalMaxPooling2D": "Each map becomes one number, its largest value.",
        "Flatten": "Lays all values of all maps out in one row.",
        "Rescaling": "Scales pixel values to a range that is easy to learn from.",
        "Normalization": "Brings the values to mean 0 and variance 1, as counted on the training data.",
        "BatchNormalization": "Shifts and scales each map to a steady range learned in training.",
        "Dropout": "Switches values off at random in training; now it passes all of them on.",
        "Activation": f"Applies {activation_name(layer)} to each value.",
        "ReLU": "Negative values become 0.",
        "Softmax": "Turns scores into probabilities that sum to 1.",
        "Add": "Adds maps from two paths, so that a layer only learns what to change.",
        "Concatenate": "Puts maps from several paths side by side.",
        "SeparableConv2D": f"Slides a kernel over each map, then mixes the maps at each place.{end}",
        "ZeroPadding2D": "Adds a border of zeros.",
    }.get(kind, "Only at work in training." if kind.startswith("Random") else "")


def pictured(values: np.ndarray, most: int = MOST_CELLS) -> dict[str, Any]:
    """Maps or numbers for the page; maps as signed bytes, 127 for the layer's largest magnitude."""
    values = np.nan_to_num(values)
    if values.ndim <= 1:
        values = values.reshape(-1)
        return {"values": rounded(values[:MOST_VALUES]), "count": int(values.size)}
    maps = values.reshape(-1, *values.shape[-2:]) if values.ndim > 3 else values
    maps = maps[..., None] if maps.ndim == 2 else maps
    count = maps.shape[-1]
    strongest = np.arange(count)
    if count > MOST_MAPS:
        strongest = np.sort(np.argsort(-np.abs(maps).max(axis=(0, 1)), kind="stable")[:MOST_MAPS])
    stride = max(1, -(-max(maps.shape[:2]) // most))
    sent = maps[::stride, ::stride, strongest]
    return {
        "maps": encoded(sent, float(np.abs(maps).max(initial=0))),
        "channels": strongest.tolist(),
        "count": count,
    }


def encoded(maps: np.ndarray, scale: float) -> dict[str, Any]:
    """(height, width, n) as bytes, map after map."""
    levels = np.round(np.moveaxis(maps, -1, 0) * (127 / scale if scale else 0)).clip(-127, 127)
    data = b64encode(levels.astype("int8").tobytes()).decode()
    return {"height": maps.shape[0], "width": maps.shape[1], "scale": rounded(scale), "data": data}


def rounded(values: Any) -> Any:
    """Numbers as JSON can hold them, to seven digits."""
    return np.nan_to_num(np.asarray(values, "float64")).round(7).tolist()


# -- one value -----------------------------------------------------------------------------------------------


def unit(step: Step, channel: int, row: int, column: int, maps: bool = True) -> dict[str, Any]:
    """How one value of a layer's output came about.

    Args:
        step: of the layer.
        channel: of the output; the number of the unit where the output is one row.
        row: of the value in its map.
        column: of the value in its map.
        maps: whether the output's map and those of the listed inputs come along.

    Raises:
        IndexError: for a value that the layer doesn't have.
    """
    output = step.output
    place = (row, column, channel) if output.ndim == 3 else (channel,)
    if output.ndim not in (1, 3) or any(not 0 <= i < n for i, n in zip(place, output.shape)):
        raise IndexError(
            f"Layer {step.layer.name!r} has no value at {place}; its output has shape {output.shape}."
        )
    explain = explanation(step)
    result = {"kind": "plain", **(explain(step, *place) if explain else {}), "value": rounded(output[place])}
    result["activation"] = activation_name(step.layer)
    if maps and output.ndim == 3:
        result["map"] = encoded(output[..., channel : channel + 1], float(np.abs(output).max(initial=0)))
        source = step.inputs[0] if step.inputs else output
        if source.ndim == 3 and "terms" in result:
            listed = source[..., [term["channel"] for term in result["terms"]]]
            result["sources"] = encoded(listed, float(np.abs(source).max(initial=0)))
    return result


def explanation(step: Step) -> Callable[..., dict[str, Any]] | None:
    """The function that explains a value of this layer, if its arithmetic is one that can be shown."""
    if not step.inputs:
        return None
    came, went = step.inputs[0], step.output
    if came.ndim == 3 and went.ndim == 3:
        if step.kind in ("Conv2D", "DepthwiseConv2D"):
            return convolution
        if step.kind in ("MaxPooling2D", "MinPooling2D", "AveragePooling2D"):
            return pooling
    if step.kind.startswith("Global") and came.ndim == 3 and went.ndim == 1:
        return global_pooling
    if step.kind == "Dense" and came.ndim == 1:
        return dense
    if step.kind == "Softmax" and came.ndim == 1:
        return lambda step, channel: softmax_of(step.inputs[0], channel)
    if came.shape == went.shape and len(step.inputs) == 1:
        return pointwise
    return None


def window(size: int, strides: int, dilation: int, length: int, padding: str, position: int) -> np.ndarray:
    """Which cells of an axis the window at a position covers; those below 0 or past the end are padding.

    >>> window(3, 1, 1, 28, "same", 0).tolist()
    [-1, 0, 1]
    """
    reach = (size - 1) * dilation + 1
    before = 0
    if padding == "same":
        before = max((-(-length // strides) - 1) * strides + reach - length, 0) // 2
    return position * strides - before + dilation * np.arange(size)


def covered(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values (rows, columns, n) of a window, 0 outside the maps, and which cells are inside."""
    inside = np.outer((rows >= 0) & (rows < maps.shape[0]), (columns >= 0) & (columns < maps.shape[1]))
    at = np.ix_(rows.clip(0, maps.shape[0] - 1), columns.clip(0, maps.shape[1] - 1))
    return np.where(inside[..., None], maps[at], 0), inside


def convolution(step: Step, row: int, column: int, channel: int) -> dict[str, Any]:
    layer, maps = step.layer, step.inputs[0]
    spans = [
        window(
            layer.kernel_size[i], layer.strides[i], layer.dilation_rate[i], maps.shape[i], layer.padding, at
        )
        for i, at in enumerate((row, column))
    ]
    values, inside = covered(maps, *spans)
    kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel), "float32")
    if step.kind == "DepthwiseConv2D":
        first, many = divmod(channel, kernel.shape[-1])
        kernel = kernel[:, :, first : first + 1, many]
        values = values[..., first : first + 1]
    else:
        size = kernel.shape[2]
        first = channel // (layer.filters // layer.groups) * size
        kernel, values = kernel[..., channel], values[..., first : first + size]
    sums = (values * kernel).sum(axis=(0, 1), dtype="float64")
    listed = np.argsort(-np.abs(sums), kind="stable")[:MOST_TERMS]
    bias = 0.0 if layer.bias is None else float(keras.ops.convert_to_numpy(layer.bias)[channel])
    return {
        "kind": "convolution",
        "rows": spans[0].tolist(),
        "columns": spans[1].tolist(),
        "inside": inside.tolist(),
        "terms": [
            {
                "channel": int(first + i),
                "values": rounded(values[..., i]),
                "kernel": rounded(kernel[..., i]),
                "sum": rounded(sums[i]),
            }
            for i in listed
        ],
        "rest": {"count": len(sums) - len(listed), "sum": rounded(sums.sum() - sums[listed].sum())},
        "bias": rounded(bias),
        "before": rounded(sums.sum() + bias),
    }


def pooling(step: Step, row: int, column: int, channel: int) -> dict[str, Any]:
    layer, maps = step.layer, step.inputs[0]
    spans = [
        window(layer.pool_size[i], layer.strides[i], 1, maps.shape[i], layer.padding, at)
        for i, at in enumerate((row, column))
    ]
    values, inside = covered(maps[..., channel : channel + 1], *spans)
    values = values[..., 0]
    winner = None
    if step.kind == "MaxPooling2D":
        winner = int(np.where(inside, values, -np.inf).argmax())
    elif step.kind == "MinPooling2D":
        winner = int(np.where(inside, values, np.inf).argmin())
    return {
        "kind": "pooling",
        "rows": spans[0].tolist(),
        "columns": spans[1].tolist(),
        "inside": inside.tolist(),
        "terms": [{"channel": channel, "values": rounded(values)}],
        "winner": winner,
    }


def global_pooling(step: Step, channel: int) -> dict[str, Any]:
    one = step.inputs[0][..., channel : channel + 1]
    scale = float(np.abs(step.inputs[0]).max(initial=0))
    return {"kind": "global", "cells": int(one.size), "whole": encoded(one, scale)}


def dense(step: Step, channel: int) -> dict[str, Any]:
    layer, came = step.layer, step.inputs[0]
    weights = np.asarray(keras.ops.convert_to_numpy(layer.kernel), "float64")
    biases = 0.0 if layer.bias is None else np.asarray(keras.ops.convert_to_numpy(layer.bias), "float64")
    scores = came @ weights + biases
    products = came * weights[:, channel]
    listed = np.argsort(-np.abs(products), kind="stable")[:MOST_TERMS]
    bias = float(scores[channel] - products.sum())
    result = {
        "kind": "dense",
        "terms": [
            {"input": int(i), "value": rounded(came[i]), "weight": rounded(weights[i, channel])}
            for i in listed
        ],
        "rest": {
            "count": len(products) - len(listed),
            "sum": rounded(products.sum() - products[listed].sum()),
        },
        "bias": rounded(bias),
        "before": rounded(scores[channel]),
    }
    if activation_name(layer) == "softmax":
        result["softmax"] = softmax_of(scores, channel)
    return result


def softmax_of(scores: np.ndarray, channel: int) -> dict[str, Any]:
    """How scores become probabilities; the largest is taken off first, which only keeps numbers small."""
    powers = np.exp(scores - scores.max())
    listed = np.argsort(-scores, kind="stable")[:MOST_TERMS]
    return {
        "kind": "softmax",
        "largest": rounded(scores.max()),
        "total": rounded(powers.sum()),
        "classes": [
            {
                "class": int(i),
                "score": rounded(scores[i]),
                "power": rounded(powers[i]),
                "probability": rounded(powers[i] / powers.sum()),
            }
            for i in sorted({*listed.tolist(), channel})
        ],
    }


def pointwise(step: Step, *place: int) -> dict[str, Any]:
    return {"kind": "pointwise", "input": rounded(step.inputs[0][place])}
