"""Augmentation policies: random choices among other layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import ops, random
from triceras.core.registry import export
from triceras.layers import arguments
from triceras.layers.image.base import RandomImageLayer, Transformation, images_of, span
from triceras.layers.image.colour import (
    AutoContrast,
    Equalization,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from triceras.layers.image.geometry import RandomRotation, RandomShear, RandomTranslation
from triceras.random import Seed


class Policy(RandomImageLayer):
    """Base of the layers that choose among others, each an attribute named as it is called."""

    choices: tuple[str, ...]

    def __init__(
        self,
        value_range: Sequence[float],
        factor: float | Sequence[float],
        interpolation: str,
        seed: int | None,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.value_range = tuple(value_range)
        self.factor = factor = span(self, "factor", factor, 0, 1)
        self.interpolation = interpolation
        here = {"data_format": data_format, "dtype": self.dtype_policy, **kwargs}
        here.pop("name", None)
        moving = {"interpolation": interpolation, "seed": seed, **here}
        colours = {"value_range": value_range, "seed": seed, **here}
        fixed = {"value_range": value_range, **here}
        made = {
            "random_shear": lambda: RandomShear(x_factor=factor, y_factor=factor, **moving),
            "random_translation": lambda: RandomTranslation(
                height_factor=factor, width_factor=factor, **moving
            ),
            "random_rotation": lambda: RandomRotation(factor=factor, **moving),
            "random_brightness": lambda: RandomBrightness(factor=factor, **colours),
            "random_color_degeneration": lambda: RandomColorDegeneration(factor=factor, **colours),
            "random_contrast": lambda: RandomContrast(factor=factor, **colours),
            "random_sharpness": lambda: RandomSharpness(factor=factor, **colours),
            "solarization": lambda: Solarization(addition_factor=factor, threshold_factor=factor, **colours),
            "random_posterization": lambda: RandomPosterization(factor=max(1, int(8 * factor[1])), **colours),
            "auto_contrast": lambda: AutoContrast(**fixed),
            "equalization": lambda: Equalization(**fixed),
        }
        for name in self.choices:
            setattr(self, name, made[name]())

    @property
    def candidates(self) -> list[Any]:
        """The layers to choose from."""
        return [getattr(self, name) for name in self.choices]

    def one_of(self, number: Any, layers: Sequence[Any], kind: str, value: Any, drawn: Sequence[Any]) -> Any:
        """What the layer of a random number makes of something; nothing is done for numbers beyond them."""
        changes = [
            lambda x, layer=layer, found=found: getattr(layer, f"transform_{kind}")(x, found)
            for layer, found in zip(layers, drawn, strict=True)
        ]
        return _chosen(number, [*changes, lambda x: x], value)


def _chosen(number: Any, changes: Sequence[Any], value: Any) -> Any:
    """The result of one of several functions of a tensor, or of a dict of tensors."""
    if isinstance(value, dict):
        names = sorted(value)

        def listed(change: Any) -> Any:
            def run(*items: Any) -> list[Any]:
                found = change(dict(zip(names, items, strict=True)))
                return [ops.cast(found[k], value[k].dtype) for k in names]

            return run

        found = ops.switch(number, [listed(change) for change in changes], *(value[k] for k in names))
        return dict(zip(names, found, strict=True))
    return ops.switch(number, [lambda x, c=c: ops.cast(c(x), value.dtype) for c in changes], value)


ALL = (
    "random_shear", "random_translation", "random_rotation", "random_brightness", "random_color_degeneration",
    "random_contrast", "random_sharpness", "random_posterization", "solarization", "auto_contrast",
    "equalization",
)  # fmt: skip


@export("layers.RandAugment")
class RandAugment(Policy):
    """Applies some randomly chosen changes to each batch while training. Cubuk et al., 2020,
    https://arxiv.org/abs/1909.13719

    Args:
        value_range: least and largest value of the images.
        num_ops: how many changes.
        factor: limits of their strength, from 0 to 1.
        interpolation: "nearest" or "bilinear".
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> RandAugment(seed=1)(ops.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    choices = ALL

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_ops: int = 2,
        factor: float | Sequence[float] = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, factor, interpolation, seed, data_format, **kwargs)
        self.num_ops = arguments.count(self, "num_ops", num_ops, 0)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        source = self.generator if seed is None else seed
        return {
            "layer_idxes": random.randint((self.num_ops,), 0, len(self.choices), seed=source),
            "transforms": [layer.get_random_transformation(data, True, source) for layer in self.candidates],
        }

    def _applied(self, kind: str, value: Any, transformation: Transformation, training: bool) -> Any:
        if training and transformation is not None:
            for i in range(self.num_ops):
                number = transformation["layer_idxes"][i]
                value = self.one_of(number, self.candidates, kind, value, transformation["transforms"])
        return value

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self._applied("images", images, transformation, training)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Transformation = None, training: bool = True
    ) -> dict[str, Any]:
        return self._applied("bounding_boxes", bounding_boxes, transformation, training)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self._applied("segmentation_masks", segmentation_masks, transformation, training)


@export("layers.AugMix")
class AugMix(Policy):
    """Mixes images with several chains of randomly chosen changes of them while training.

    Masks and boxes stay, since the original image keeps its share. Hendrycks et al., 2020,
    https://arxiv.org/abs/1912.02781

    Args:
        value_range: least and largest value of the images.
        num_chains: how many chains.
        chain_depth: changes in each chain; one of the choices is no change.
        factor: limits of their strength, from 0 to 1.
        alpha: parameter of the distributions of the shares.
        all_ops: whether brightness, colour, contrast and sharpness change, too.
        interpolation: "nearest" or "bilinear".
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> AugMix(seed=1)(ops.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: float | Sequence[float] = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.choices = ALL if all_ops else tuple(name for name in ALL if name not in _TOO_CLOSE)
        super().__init__(value_range, factor, interpolation, seed, data_format, **kwargs)
        self.num_chains = arguments.count(self, "num_chains", num_chains)
        self.chain_depth = arguments.count(self, "chain_depth", chain_depth)
        self.alpha, self.all_ops = arguments.number(self, "alpha", alpha, above=0), bool(all_ops)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        source, count = self.generator if seed is None else seed, (self.num_chains, self.chain_depth)
        shares = random.gamma((self.num_chains,), self.alpha, seed=source)
        layers = self.candidates
        return {
            "chain_mixing_weights": shares / ops.sum(shares),
            "weight_sample": random.beta((), self.alpha, self.alpha, seed=source),
            "layer_idxes": random.randint(count, 0, len(layers) + 1, seed=source),
            "transforms": [layer.get_random_transformation(data, True, source) for layer in layers],
        }

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training or transformation is None:
            return images
        shares, kept = (
            ops.cast(transformation[name], images.dtype) for name in ("chain_mixing_weights", "weight_sample")
        )
        layers, drawn = self.candidates, transformation["transforms"]
        mixed = 0.0
        for i in range(self.num_chains):
            chain = images_of(images)
            for k in range(self.chain_depth):
                chain = self.one_of(transformation["layer_idxes"][i, k], layers, "images", chain, drawn)
            mixed = mixed + chain * shares[i]
        return ops.clip(kept * images + (1 - kept) * mixed, *self.value_range)


_TOO_CLOSE = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")
