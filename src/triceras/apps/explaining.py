"""Pictures of why a classifier says what it says: Grad-CAM, saliency and feature maps, on white."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

import triceras as keras
from triceras.apps.classifier import Classifier
from triceras.apps.pictures import new_figure, save
from triceras.core.errors import ArgumentError, NotFoundError, require

MOST = 64  # maps of a layer that are shown
TILE, GAP = 112, 10  # pixels
HEAT = "inferno"


def run(
    classifier: Classifier,
    image: Path,
    out: Path | None = None,
    layer: str | None = None,
    class_name: str | None = None,
) -> Path:
    """Write the pictures and say what they are.

    Args:
        classifier: what is explained.
        image: the picture.
        out: the folder for the pictures; `IMAGE-explained` if not given.
        layer: whose maps Grad-CAM weighs; the end of the last convolutional stage if not given.
        class_name: the class to explain; the predicted one if not given.

    Returns:
        The folder.
    """
    require("matplotlib", "plot", "Explaining pictures")
    prepared = classifier.prepare(image)
    batch = classifier.inputs(prepared[None])
    probabilities = classifier.probabilities(prepared[None])[0]
    best = int(probabilities.argmax())
    chosen = best if class_name is None else _class_index(classifier, class_name)
    output = classifier.all_outputs.index(classifier.main)
    visualization = keras.visualization
    pixels = visualization.saliency(classifier.model, batch, chosen, output)[0]
    if pixels.shape != prepared.shape[:2]:  # a model of numbers in a row
        pixels = pixels.reshape(prepared.shape).max(axis=-1)
    heat, maps, trouble = None, {}, ""
    try:
        maps = visualization.feature_maps(classifier.model, batch)
        heat = visualization.grad_cam(classifier.model, batch, chosen, layer, output)[0]
    except NotFoundError:
        raise
    except ArgumentError as error:
        if layer is not None or maps:
            raise
        trouble = str(error)
    folder = _folder(out or Path(f"{image.stem}-explained"))
    picture = classifier.shown(prepared)
    what = f"{classifier.classes[chosen]} ({probabilities[chosen]:.1%})"
    written = []
    if heat is not None:
        if not heat.any():
            trouble = (
                f"Nothing in the picture speaks for {classifier.classes[chosen]}, so gradcam.png stays dark."
            )
        show_heat(picture, heat, f"Where it saw what speaks for {what}", folder / "gradcam.png")
        written.append("gradcam.png       where it saw what speaks for the class")
    show_heat(picture, pixels, f"Which pixels matter for {what}", folder / "saliency.png", over=False)
    written.append("saliency.png      how much each pixel changes the score")
    images = {name: _as_images(classifier.model, name, values[0]) for name, values in maps.items()}
    for number, (name, values) in enumerate(images.items(), 1):
        file = f"maps-{number:02d}-{re.sub(r'[^A-Za-z0-9_.]+', '-', name)}.png"
        show_maps(values, name, folder / file)
    if images:
        many = (
            "the convolution makes" if len(images) == 1 else f"each of the {len(images)} convolutions makes"
        )
        written.append(f"maps-NN-NAME.png  what {many} of it")
    answer = f"{image}: {classifier.classes[best]} ({probabilities[best]:.1%})"
    print(
        "\n".join(
            [answer, *([trouble] if trouble else []), f"Written to {folder}/", *(f"  {w}" for w in written)]
        )
    )
    return folder


def _class_index(classifier: Classifier, name: str) -> int:
    if name in classifier.classes:
        return classifier.classes.index(name)
    raise NotFoundError(
        f"--class: there is no class {name!r}. The classes are: {', '.join(classifier.classes)}"
    )


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"--out: the folder '{path}' can't be made: {error.strerror}.") from error
    return path


def _as_images(model: Any, name: str, values: np.ndarray) -> np.ndarray:
    """What a convolution returned for one picture, as (maps, rows, columns)."""
    layer = next((x for x in model._flatten_layers() if name.partition("#")[0] in (x.name, x.path)), None)
    if getattr(layer, "data_format", None) != "channels_first":
        values = np.moveaxis(values, -1, 0)
    return values.reshape(len(values), *([1] if values.ndim == 2 else []), *values.shape[1:])


def _shown(axis: Any, picture: np.ndarray) -> None:
    axis.axis("off")
    axis.imshow(
        picture[..., 0] if picture.shape[-1] == 1 else picture[..., :3], cmap="gray", vmin=0, vmax=255
    )


def show_heat(picture: np.ndarray, heat: np.ndarray, title: str, path: Path, over: bool = True) -> None:
    """A picture beside its map.

    Args:
        picture: bytes (h, w, c).
        heat: (h, w) from 0 to 1.
        title: above both.
        path: where the PNG goes.
        over: lay the map over the picture instead of showing it alone.
    """
    figure = new_figure(7.4, 3.9)
    left, right = figure.subplots(1, 2)
    figure.suptitle(title, fontsize=12)
    _shown(left, picture)
    if over:
        _shown(right, picture)
    right.axis("off")
    colors = right.imshow(heat, cmap=HEAT, vmin=0, vmax=1, alpha=0.25 + 0.55 * heat if over else None)
    bar = figure.colorbar(colors, ax=right, fraction=0.046, ticks=[0, 1])
    bar.ax.set_yticklabels(["least", "most"])
    bar.solids.set_alpha(1)
    save(figure, path)


def show_maps(maps: np.ndarray, name: str, path: Path) -> None:
    """The feature maps of a layer, each from its least (dark) to its greatest value (bright).

    Args:
        maps: (n, rows, columns).
        name: of the layer.
        path: where the PNG goes.
    """
    from matplotlib import colormaps
    from PIL import Image, ImageDraw, ImageFont

    shown = list(range(len(maps)))
    title = f"{name}: {len(maps)} feature maps of {maps.shape[1]} x {maps.shape[2]}"
    if len(maps) > MOST:
        shown = sorted(np.argsort(-np.abs(maps).mean(axis=(1, 2)))[:MOST].tolist())
        title += f", the {MOST} strongest"
    longer = max(maps.shape[1:])
    scale = TILE / longer if longer > TILE else max(1, TILE // longer)  # whole pixels where they are few
    width, height = (max(1, round(n * scale)) for n in (maps.shape[2], maps.shape[1]))
    columns = math.ceil(math.sqrt(len(shown)))
    step_x, step_y = max(width, 24) + GAP, height + GAP + 14
    font, small = ImageFont.load_default(16), ImageFont.load_default(11)
    size = (
        max(columns * step_x + GAP, math.ceil(font.getlength(title)) + 2 * GAP),
        math.ceil(len(shown) / columns) * step_y + 44,
    )
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    pen.text((GAP, 12), title, "black", font)
    for place, index in enumerate(shown):
        row, column = divmod(place, columns)
        x, y = GAP + column * step_x, 44 + row * step_y
        values = maps[index] - maps[index].min()
        colors = colormaps["viridis"](values / (values.max() or 1))
        tile = Image.fromarray((colors[..., :3] * 255).astype("uint8"))
        way = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
        image.paste(tile.resize((width, height), way), (x, y))
        pen.text((x, y + height + 1), str(index), "#555555", small)
    image.save(path)
