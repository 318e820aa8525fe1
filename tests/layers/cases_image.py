"""Rows for the layers that prepare and vary images, as they are when nothing is trained."""

from __future__ import annotations

from typing import Any

from tests.layers.cases import Case, row

COLOURS, COLOURS_FIRST = (2, 7, 8, 3), (2, 3, 7, 8)


def image(layer: str, shape: Any = COLOURS, **arguments: Any) -> Case:
    """A row whose calls say that nothing is trained, since these layers vary images if they aren't told."""
    return row(layer, shape, _call={"training": False}, **arguments)


CASES = [
    image("Resizing", height=5, width=4, _unknown="batch"),
    image(
        "Resizing", COLOURS_FIRST, height=9, width=4, interpolation="bicubic", data_format="channels_first"
    ),
    image("CenterCrop", height=5, width=4, _unknown="batch"),
    image("CenterCrop", height=9, width=5, _unknown="batch"),
    image("RandomCrop", height=7, width=8, seed=3, _unknown="batch"),
    image("RandomFlip", mode="horizontal"),
    image("RandomRotation", factor=(-0.1, 0.2), fill_mode="constant"),
    image("RandomZoom", height_factor=0.2, seed=3),
    image(
        "RandomTranslation", COLOURS_FIRST, height_factor=0.2, width_factor=0.1, data_format="channels_first"
    ),
    image("RandomShear", x_factor=(0.1, 0.2), y_factor=(0.0, 0.3), interpolation="nearest"),
    image("RandomPerspective", factor=0.5, scale=0.3),
    image("RandomElasticTransform", factor=(0.2, 0.4)),
    image("RandomBrightness", factor=0.2, value_range=(0, 1)),
    image("RandomContrast", factor=0.2),
    image("RandomColorDegeneration", factor=0.5),
    image("RandomColorJitter", brightness_factor=0.2, hue_factor=0.1),
    image("RandomGaussianBlur", kernel_size=(3, 5)),
    image("RandomGrayscale"),
    image("RandomHue", factor=0.5),
    image("RandomInvert"),
    image("RandomPosterization", factor=4),
    image("RandomSaturation", factor=(0.4, 0.6)),
    image("RandomSharpness", factor=0.5),
    image("Solarization", addition_factor=0.1, threshold_factor=0.2),
    image("AutoContrast", value_range=(0, 4)),
    image("Equalization", bins=64, _reference=False),  # the reference's makes no graph
    image(
        "ContrastLimitedAdaptiveHistogramEqualization",
        tile_grid_size=(2, 2),
        value_range=(-9, 9),
        _unknown="batch",
    ),
    image("RandomErasing", fill_value=3.0),
    image("CutMix"),
    image("MixUp", alpha=0.4, _reference=False),  # the reference's warns
    image("RandAugment", num_ops=1),
    image("AugMix", chain_depth=2, all_ops=False),
    image("MaxNumBoundingBoxes", max_number=3),
]
