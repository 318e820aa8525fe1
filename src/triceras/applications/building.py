"""What all ready-made networks share: arguments and their checks, the input, both ends, published weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import Any

from triceras import layers
from triceras.applications.imagenet_utils import CLASSES
from triceras.applications.published import Published
from triceras.core import config
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, shown
from triceras.core.registry import export
from triceras.core.spec import KerasTensor
from triceras.graph import get_source_inputs
from triceras.initializers import unfilled
from triceras.models import Model

Activation = str | Callable[[Any], Any] | None
Shape = tuple[int | None, ...]
Block = Callable[[KerasTensor], KerasTensor]
Top = Callable[[KerasTensor, int, Activation], KerasTensor]


# -- layers -----------------------------------------------------------------------------------------


def channels_first() -> bool:
    """Whether the configured layout has channels before rows and columns."""
    return config.image_data_format() == "channels_first"


def channel_axis() -> int:
    """The axis of channels in a batch of images."""
    return 1 if channels_first() else 3


def last_axis() -> int:
    """The same, counted from the end where channels come last; some networks' configs say it so."""
    return 1 if channels_first() else -1


def channels(x: KerasTensor) -> int:
    """How many channels a feature map has."""
    return x.shape[channel_axis()]


def batch_norm(x: KerasTensor, name: str | None, **options: Any) -> KerasTensor:
    """Batch normalization of channels."""
    return layers.BatchNormalization(name=name, **{"axis": channel_axis(), **options})(x)


def relu(x: KerasTensor, name: str | None = None) -> KerasTensor:
    """A rectifier as a layer of its own."""
    return layers.Activation("relu", name=name)(x)


def pad_for_stride(x: KerasTensor, kernel: int, name: str | None) -> KerasTensor:
    """Margins for a "valid" convolution with stride 2 whose last window ends where the image does."""
    half = kernel // 2
    sizes = x.shape[2:4] if channels_first() else x.shape[1:3]
    margins = tuple((half - (size is None or size % 2 == 0), half) for size in sizes)
    return layers.ZeroPadding2D(margins, name=name)(x)


def rounded(filters: float, divisor: int = 8, least: int | None = None) -> int:
    """The nearest multiple of `divisor`, but never less than nine tenths."""
    near = max(least or divisor, int(filters + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * filters else near


def classifier(
    x: KerasTensor, classes: int, activation: Activation, pooling: str | None = "avg_pool"
) -> KerasTensor:
    """The usual end: the mean over the image, in a layer named `pooling`, then one dense layer."""
    x = layers.GlobalAveragePooling2D(name=pooling)(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


# -- networks ---------------------------------------------------------------------------------------


def assemble(
    network: str,
    body: Block,
    *,
    include_top: bool,
    weights: str | Path | None,
    input_tensor: Any,
    input_shape: Shape | None,
    pooling: str | None,
    classes: int,
    classifier_activation: Activation,
    name: str | None,
    pixels: Callable[[KerasTensor, bool], KerasTensor] | None = None,
    top: Top = classifier,
    poolings: tuple[str | None, str | None] = ("avg_pool", "max_pool"),
    size: int = 224,
    smallest: int = 32,
    full_size: bool | None = None,
    ending: Block | None = None,
    published: Published | None = None,
) -> Model:
    """A network from its body: arguments checked, ends attached, weights loaded.

    Args:
        network: its public name, for messages.
        body: makes the last feature map from pixels.
        pixels: scales the images first; told whether "imagenet" weights come.
        top: makes predictions from the last feature map.
        poolings: names of the layers that pool in place of a classifier.
        size: rows and columns of images where no shape is given.
        smallest: the fewest rows and columns that leave something after the last stride.
        full_size: whether the size of images must be known; only with the classifier if not given.
        ending: follows the pooling where there is no classifier.
        published: where "imagenet" weights come from.

    Raises:
        ArgumentError: naming the argument that can't be used.
    """
    if pooling not in (None, "avg", "max"):
        raise ArgumentError(f'{network}(): `pooling` must be None, "avg" or "max". Received: {pooling!r}')
    _check_weights(network, weights, include_top, classes, classifier_activation)
    shape = image_shape(network, input_shape, weights, size, smallest, include_top, full_size)
    if input_tensor is None:
        source = inputs = layers.Input(shape=shape)
    elif isinstance(input_tensor, KerasTensor):
        source, inputs = input_tensor, get_source_inputs(input_tensor)
        inputs = inputs[0] if len(inputs) == 1 else inputs
    else:
        raise ArgumentTypeError(
            f"{network}(): `input_tensor` must be a symbolic tensor, as layers.Input() makes them. "
            f"Received: {shown(input_tensor, 80)}"
        )
    with unfilled(weights is not None or unfilled.get()):  # the file fills them
        x = body(pixels(source, weights == "imagenet") if pixels else source)
        if include_top:
            x = top(x, classes, classifier_activation)
        elif pooling == "avg":
            x = layers.GlobalAveragePooling2D(name=poolings[0])(x)
        elif pooling == "max":
            x = layers.GlobalMaxPooling2D(name=poolings[1])(x)
        if ending is not None and not include_top:
            x = ending(x)
        model = Model(inputs, x, name=name)
    if weights == "imagenet":
        assert published is not None
        model.load_weights(published.obtain(include_top))
    elif weights is not None:
        model.load_weights(weights)
    return model


def _check_weights(
    network: str, weights: Any, include_top: bool, classes: int, activation: Activation
) -> None:
    if isinstance(classes, bool) or not isinstance(classes, Integral) or classes < 1:
        raise ArgumentError(f"{network}(): `classes` must be a positive integer. Received: {classes!r}")
    if weights is None:
        return
    if weights != "imagenet":
        if not isinstance(weights, (str, Path)) or not Path(weights).is_file():
            raise ArgumentError(
                f'{network}(): `weights` must be None (random), "imagenet", or the path of a weights file '
                f"that exists. Received: {weights!r}"
            )
        return
    if include_top and classes != CLASSES:
        raise ArgumentError(
            f'{network}(): weights="imagenet" with the classifier has classes={CLASSES}. '
            f"Received: {classes}. For classes of your own pass include_top=False and add a classifier."
        )
    if include_top and getattr(activation, "__name__", activation) not in ("softmax", "linear", None):
        raise ArgumentError(
            f'{network}(): weights="imagenet" go with `classifier_activation` "softmax", or None for logits. '
            f"Received: {activation!r}"
        )


def image_shape(
    network: str,
    given: Shape | None,
    weights: Any,
    size: int,
    smallest: int,
    include_top: bool,
    full_size: bool | None = None,
) -> Shape:
    """The shape of one image: the one given, checked, else the network's own."""
    full_size = include_top if full_size is None else full_size
    first, pretrained = channels_first(), weights == "imagenet"

    def shape(rows: int | None, count: int) -> Shape:
        return (count, rows, rows) if first else (rows, rows, count)

    if given is None:
        return shape(size if full_size else None, 3)
    given = tuple(given)
    layout = "(channels, rows, columns)" if first else "(rows, columns, channels)"
    if len(given) != 3 or not all(n is None or (isinstance(n, Integral) and n > 0) for n in given):
        raise ShapeError(f"{network}(): `input_shape` must be {layout}. Received: {given}")
    count, rows, columns = given if first else (given[2], *given[:2])
    if pretrained and full_size and given != shape(size, 3):
        raise ShapeError(
            f'{network}(): weights="imagenet" with the classifier need `input_shape` {shape(size, 3)}. '
            f"Received: {given}. Pass include_top=False for another size."
        )
    if pretrained and count != 3:
        raise ShapeError(
            f'{network}(): weights="imagenet" need 3 channels; `input_shape` is {layout}. Received: {given}'
        )
    if any(n is not None and n < smallest for n in (rows, columns)):
        raise ShapeError(
            f"{network}(): images need at least {smallest} rows and columns. Received: `input_shape` {given}"
        )
    if count is None or (full_size and None in given):
        raise ShapeError(
            f"{network}(): `input_shape` must be fully known"
            f"{' with include_top=True' * include_top}. Received: {given}"
        )
    if count not in (1, 3):
        warnings.warn(
            f"{network}(): `input_shape` {given} has {count} channels; images have 1 or 3.", stacklevel=4
        )
    return given


ARGUMENTS = """
    Args:
        include_top: whether the classifier is there; else the network ends with its last feature map.
        weights: "imagenet" (downloaded once), the path of a weights file, or None for random ones.
        input_tensor: a symbolic tensor to build on, in place of an input of its own.
        input_shape: shape of one image{shape}.
        pooling: without the classifier, "avg" or "max" makes one vector an image of the last feature map.
        classes: number of classes; 1,000 for "imagenet".
        classifier_activation: of the last layer; None gives logits.
        name: name of the model.
{more}
    Raises:
        ArgumentError: naming the argument that can't be used.
        DataUnavailableError: the weights are neither cached nor to be had from the network.
"""


def described(summary: str, shape: str = "", more: str = "", example: str = "") -> str:
    """The docstring of a network: its own line and arguments, and what all have in common."""
    shown_example = f"\n    >>> {example}\n" if example else ""
    return f"{summary}\n{ARGUMENTS.format(shape=shape, more=more)}{shown_example}"


def architecture(
    network: str,
    module: str,
    body: Block,
    summary: str,
    *,
    example: str = "",
    name: str | None = None,
    also: tuple[str, ...] = (),
    size: int = 224,
    **options: Any,
) -> Callable[..., Model]:
    """Make a public function of the usual signature that builds a network.

    Args:
        network: its public name.
        module: the public module of its family, such as "vgg16".
        body: makes the last feature map from pixels.
        summary: first line of the docstring.
        example: a doctest.
        name: default name of the model; the public name in small letters if not given.
        also: further public modules.
        size: rows and columns of images where no shape is given.
        **options: for `assemble`.
    """
    default = name or network.lower()

    def build(
        include_top: bool = True,
        weights: str | Path | None = "imagenet",
        input_tensor: Any = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: Activation = "softmax",
        name: str = default,
    ) -> Model:
        return assemble(
            network, body, include_top=include_top, weights=weights, input_tensor=input_tensor,
            input_shape=input_shape, pooling=pooling, classes=classes,
            classifier_activation=classifier_activation, name=name, size=size, **options,
        )  # fmt: skip

    build.__name__ = build.__qualname__ = network
    build.__module__ = body.__module__
    shape = f"; ({size}, {size}, 3) with the classifier if not given"
    build.__doc__ = described(summary, shape, example=example)
    return export(*(f"applications.{m}.{network}" for m in (module, *also)), f"applications.{network}")(build)
