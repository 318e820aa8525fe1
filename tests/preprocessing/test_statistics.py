"""Mean and deviation in one pass, however the data comes and however large its values are."""

from __future__ import annotations

import numpy as np
import pytest

from triceras.core.errors import ArgumentError, ShapeError
from triceras.training.dataset import PyDataset
from triceras.utils import image_statistics, moments

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 3)).astype("uint8")


class Parts(PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return IMAGES[index * 13 :][:13], np.zeros(13)


@pytest.mark.parametrize(
    "source",
    [
        lambda: IMAGES,
        lambda: IMAGES.astype("float16"),
        lambda: Parts(),
        lambda: (IMAGES[low : low + 7] for low in range(0, 50, 7)),
        lambda: pytest.importorskip("torch").from_numpy(IMAGES),
    ],
)
def test_every_source(source):
    found = image_statistics(source())
    np.testing.assert_allclose(found.mean, IMAGES.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(found.std, IMAGES.std(axis=(0, 1, 2)))
    assert found.overall_mean == pytest.approx(IMAGES.mean())
    assert found.overall_std == pytest.approx(IMAGES.std())
    assert found.count == 50 * 30


def test_layouts_and_large_arrays(monkeypatch):
    first = image_statistics(IMAGES.transpose(0, 3, 1, 2), data_format="channels_first")
    np.testing.assert_allclose(first.mean, image_statistics(IMAGES).mean)
    assert image_statistics(IMAGES[..., 0]).mean.shape == (1,)
    monkeypatch.setattr(moments, "_PART_BYTES", 1000)
    np.testing.assert_allclose(image_statistics(IMAGES).std, IMAGES.std(axis=(0, 1, 2)))


def test_small_deviations_of_large_values_survive():
    x = 1e6 + np.random.default_rng(1).normal(size=(64, 4, 4, 1))
    found = image_statistics(x[i : i + 4] for i in range(0, 64, 4))
    assert found.std[0] == pytest.approx(x.std(), rel=1e-7)


def test_folders(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    (tmp_path / "a" / "b").mkdir(parents=True)
    for i, size in enumerate([(3, 4), (5, 2)]):
        pil.new("RGB", size, (10 * i, 100, 200)).save(tmp_path / "a" / ("b" if i else ".") / f"{i}.png")
    found = image_statistics(tmp_path)
    np.testing.assert_allclose(found.mean, [100 / 22, 100, 200])
    assert image_statistics(tmp_path, color_mode="grayscale").mean.shape == (1,)
    with pytest.raises(FileNotFoundError):
        image_statistics(tmp_path / "nowhere")


def test_what_has_no_statistics():
    for data, error in [
        (np.zeros((0, 2, 2, 1)), ArgumentError),
        (np.full((1, 2, 2, 1), np.nan), ArgumentError),
        (np.zeros((2, 2)), ShapeError),
        (iter([IMAGES, IMAGES[..., :1]]), ShapeError),
        (3, TypeError),
    ]:
        with pytest.raises(error):
            image_statistics(data)
