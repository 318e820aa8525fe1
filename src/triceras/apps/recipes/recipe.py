"""What a recipe is: where its pictures come from, the network, and the usual settings of its training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import typer

import triceras as keras
from triceras.core.errors import ArgumentError, NotFoundError, shown

Images = Any  # uint8 (n, height, width, channels), in memory or in a file

MOST_PIXELS = 4096  # of a side of pictures as networks take them

Balance = Literal["none", "sampler", "weights"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
Schedule = Literal["constant", "cosine"]


def _option(group: str, help: str, metavar: str | None = None, **kwargs: Any) -> Any:
    return typer.Option(rich_help_panel=group, help=help, metavar=metavar, **kwargs)


@dataclass(kw_only=True)
class Settings:
    """What a run is told: the options of the command line, and what a recipe has for those not given."""

    data: Annotated[str | None, _option("Data", "Where the pictures are.", "PATH")] = None
    image_size: Annotated[
        str, _option("Data", "Height and width of pictures in pixels, such as 64 or 64x48.", "SIZE")
    ] = "28"
    augment: Annotated[bool, _option("Data", "Vary the training pictures at random.")] = False
    balance: Annotated[
        Balance,
        _option(
            "Data",
            "Against unequal classes: draw all equally often (sampler), weigh losses (weights), or none.",
            "WAY",
        ),
    ] = "none"

    epochs: Annotated[int, _option("Training", "Passes over the training pictures.", "N")] = 10
    batch_size: Annotated[int, _option("Training", "Pictures a step.", "N")] = 32
    optimizer: Annotated[str, _option("Training", "sgd, adam, adamw, rmsprop, ...", "NAME")] = "adam"
    lr: Annotated[
        float | None,
        _option("Training", "Learning rate; another optimizer has its own default.", "RATE"),
    ] = None
    schedule: Annotated[
        Schedule, _option("Training", "How the rate goes: constant, or falling along a cosine.", "WAY")
    ] = "cosine"
    precision: Annotated[
        Precision, _option("Training", "float32, mixed_float16 or mixed_bfloat16.", "NAME")
    ] = "float32"
    engine: Annotated[
        str | None,
        _option("Training", "jax, torch, tensorflow, or auto: the fastest of a trial.", "NAME"),
    ] = None
    seed: Annotated[
        int, _option("Training", "Decides first weights, order of pictures, variations, dropout.", "N")
    ] = 0

    multi_task: Annotated[
        bool, _option("Network", "Learn a second task with it: whether the digit is even or odd.")
    ] = False
    model: Annotated[
        str, _option("Network", "small, or a network of applications, such as ResNet50.", "NAME")
    ] = "small"
    weights: Annotated[
        str | None,
        _option("Network", "Weights of the ready-made network: a file without its top, or imagenet.", "FILE"),
    ] = None
    freeze: Annotated[
        bool, _option("Network", "Leave the ready-made network as it is and train only the new top.")
    ] = False
    fine_tune: Annotated[
        int,
        _option(
            "Network",
            "With --freeze: in the last N epochs train everything, at a tenth of the rate.",
            "N",
        ),
    ] = 0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures.

        Raises:
            ArgumentError: `image_size` is no size.
        """
        height, cross, width = str(self.image_size).lower().partition("x")
        try:
            size = int(height), int(width if cross else height)
            if not 1 <= min(size) <= max(size) <= MOST_PIXELS:
                raise ValueError
        except ValueError:
            raise ArgumentError(
                "--image-size takes 64 or 64x48 (height and width in pixels, each at most "
                f"{MOST_PIXELS}). Received: {self.image_size!r}"
            ) from None
        return size


OF_SOME = ("multi_task", "model", "weights", "freeze", "fine_tune")  # options that only some recipes have
HINTS = get_type_hints(Settings, include_extras=True)


@dataclass
class Data:
    """The pictures of a run, in three parts; networks see `train`, choices are made on `validation` alone.

    Attributes:
        classes: their names; labels are numbers of them.
        train: pictures and labels, as `validation` and `test`.
        notes: what the user should know of them.
    """

    classes: list[str]
    train: tuple[Images, np.ndarray]
    validation: tuple[Images, np.ndarray]
    test: tuple[Images, np.ndarray]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Recipe:
    """A training that is ready to run.

    Attributes:
        name: after `triceras train`.
        summary: one line.
        about: more of it, for its help.
        load: the pictures for some settings.
        network: makes the output, probabilities of classes, from pictures (n, h, w, c) with values from 0 to
            1; a dict of outputs for several tasks, the classes first.
        usual: settings that differ from those of `Settings`.
        augmentation: makes layers that vary pictures with values from 0 to 1.
        options: those of `OF_SOME` that it has.
        tasks: labels of all outputs from those of the classes, for several tasks.
        scale: whether pictures come to the network from 0 to 1; else as they are, from 0 to 255.
        copies: how many varied copies of each validation picture help to choose the best epoch, where pictures
            to come will differ from those at hand.
        average: the part of a run's steps that a moving average of the weights spans, with which the network is
            validated and kept as the best one; 0 for the weights themselves.
    """

    name: str
    summary: str
    about: str
    load: Callable[[Settings], Data]
    network: Callable[[Any, Settings, int], Any]
    usual: Mapping[str, Any]
    augmentation: Callable[[], Sequence[Any]] = tuple
    options: Sequence[str] = ()
    tasks: Callable[[np.ndarray, Settings], Any] = lambda labels, settings: labels
    scale: bool = True
    copies: int = 0
    average: float = 0.0

    @property
    def settings(self) -> Settings:
        """The usual ones."""
        return Settings(**self.usual)

    def names(self) -> list[str]:
        """The options that it has."""
        return [
            f.name for f in dataclasses.fields(Settings) if f.name not in OF_SOME or f.name in self.options
        ]

    def told(self, given: Mapping[str, Any]) -> Settings:
        """The settings of a run for which some options were given.

        Raises:
            ArgumentError: a value or a combination can't be used.
        """
        for name, value in given.items():
            _check(self, name, value)
        settings = dataclasses.replace(self.settings, **given)
        try:
            own = keras.optimizers.get(settings.optimizer)
        except (NotFoundError, TypeError):
            raise ArgumentError(
                "--optimizer must be sgd, adam, adamw, rmsprop or another one of triceras.optimizers. "
                f"Received: {settings.optimizer!r}"
            ) from None
        if settings.optimizer != self.settings.optimizer:  # whose rate and schedule aren't those of another
            settings = dataclasses.replace(settings, **{"schedule": "cosine", "lr": None, **given})
        if settings.lr is None:
            settings.lr = round(float(own.learning_rate), 9)
        least = {"epochs": 1, "batch_size": 1, "seed": 0, "fine_tune": 0, "lr": 1e-12}
        for name, number in least.items():
            value = getattr(settings, name)
            if not number <= value < math.inf:
                least_said = "a number above 0" if name == "lr" else f"{number} or more"
                raise ArgumentError(f"--{name.replace('_', '-')} must be {least_said}. Received: {value}")
        if settings.fine_tune and not settings.freeze:
            raise ArgumentError("--fine-tune is for networks that were frozen before: give --freeze too.")
        if settings.fine_tune >= settings.epochs:
            raise ArgumentError(
                f"--fine-tune must leave some of the {settings.epochs} epochs for the new top. "
                f"Received: {settings.fine_tune}"
            )
        settings.image_size = "x".join(map(str, settings.size))
        return settings

    def build(self, settings: Settings, classes: int, channels: int) -> Any:
        """The network, for pictures with values from 0 to 255."""
        layers = keras.layers
        inputs = x = layers.Input(shape=(*settings.size, channels), name="image")
        if self.scale:
            x = layers.Rescaling(1 / 255)(x)
        for layer in self.augmentation() if settings.augment else ():
            x = layer(x)
        return keras.Model(inputs, self.network(x, settings, classes), name=self.name.replace("-", "_"))


def answer(x: Any, classes: int, name: str = "classes") -> Any:
    """The last layer: probabilities of the classes, in float32 whatever the precision."""
    return keras.layers.Dense(classes, activation="softmax", dtype="float32", name=name)(x)


def _check(recipe: Recipe, name: str, value: Any) -> None:
    if name not in recipe.names():
        raise ArgumentError(f"{recipe.name} has no option --{name.replace('_', '-')}.")
    kind = get_args(HINTS[name])[0]
    if get_origin(kind) is Literal and value not in get_args(kind):
        choices = ", ".join(get_args(kind))
        raise ArgumentError(f"--{name.replace('_', '-')} must be one of {choices}. Received: {shown(value)}")
