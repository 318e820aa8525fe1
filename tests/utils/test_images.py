from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from triceras.core import config
from triceras.utils import images
from triceras.utils.images import array_to_img, img_to_array, load_img, save_img

pil = pytest.importorskip("PIL.Image")


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)


@pytest.fixture
def file(tmp_path, pixels):
    path = tmp_path / "a.png"
    pil.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("data_format", config.LAYOUTS)
def test_round_trip(channels, mode, data_format):
    x = np.random.default_rng(1).integers(0, 256, (4, 5, channels)).astype("float32")
    given = x if data_format == "channels_last" else x.transpose(2, 0, 1)
    image = array_to_img(given, data_format, scale=False)
    assert (image.mode, image.size) == (mode, (5, 4))
    back = img_to_array(image, data_format)
    assert back.dtype == "float32" and np.array_equal(back, given)


@pytest.mark.parametrize(
    ("values", "scale", "expected"),
    [
        ([0, 1, 2, 5], True, [0, 51, 102, 255]),
        ([7, 7, 7, 7], True, [0, 0, 0, 0]),
        ([0, 9, 99, 255], False, [0, 9, 99, 255]),
        ([0, 0, 0, 70000], False, [0, 0, 0, 70000]),
    ],
)
def test_values(values, scale, expected):
    image = array_to_img(np.reshape(values, (2, 2, 1)), scale=scale)
    assert np.asarray(image).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (np.zeros((4, 5)), {}),
        (np.zeros((4, 5, 2)), {}),
        (np.zeros((0, 5, 3)), {}),
        (np.zeros((4, 5, 3)), {"data_format": "sideways"}),
        (np.full((4, 5, 3), 256.0), {"scale": False}),
        (np.full((4, 5, 1), -1.0), {"scale": False}),
        (np.full((4, 5, 1), np.nan), {}),
    ],
)
def test_array_to_img_refuses(x, options):
    with pytest.raises(ValueError):
        array_to_img(x, **options)


def test_img_to_array_takes_arrays_as_they_stand(pixels):
    assert np.array_equal(img_to_array(pixels, "channels_first", "uint8"), pixels)
    assert img_to_array(pixels[..., 0], "channels_first").shape == (1, 8, 10)
    with pytest.raises(ValueError, match="rank 2 or 3"):
        img_to_array(np.zeros(3))


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.jpg", "a.jpeg", "a.JPG"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_save(tmp_path, name, channels):
    save_img(tmp_path / name, np.random.default_rng(0).random((4, 5, channels)))
    assert load_img(str(tmp_path / name)).size == (5, 4)


def test_save_to_a_buffer_with_options(pixels):
    sizes = []
    for quality in (10, 95):
        buffer = BytesIO()
        save_img(buffer, pixels, file_format="jpg", quality=quality)
        sizes.append(len(buffer.getvalue()))
        assert load_img(buffer).size == (10, 8)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("options", [{}, {"file_format": "nonsense"}])
def test_save_refuses(tmp_path, pixels, options):
    with pytest.raises(ValueError, match="file_format"):
        save_img(tmp_path / "without_extension", pixels, **options)


@pytest.mark.parametrize(("mode", "expected"), images.COLOR_MODES.items())
def test_load_modes(file, mode, expected):
    assert load_img(file, color_mode=mode).mode == expected


def test_load_keeps_16_bit_gray(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (4, 5)).astype("uint16")
    pil.fromarray(deep).save(tmp_path / "deep.png")
    image = load_img(tmp_path / "deep.png", color_mode="grayscale")
    assert np.array_equal(img_to_array(image)[..., 0], deep)


@pytest.mark.parametrize("interpolation", images.INTERPOLATIONS)
def test_load_resizes(file, interpolation):
    assert load_img(file, target_size=(3, 7), interpolation=interpolation).size == (7, 3)


def test_load_keeps_the_aspect_ratio_by_cutting(file, pixels):
    image = load_img(file, target_size=(8, 8), keep_aspect_ratio=True)
    assert np.array_equal(np.asarray(image), pixels[:, 1:9])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color_mode": "cmyk"}, "color_mode"),
        ({"interpolation": "NEAREST"}, "interpolation"),
        ({"target_size": 3}, "target_size"),
        ({"target_size": (0, 3)}, "target_size"),
    ],
)
def test_load_refuses_arguments(file, options, message):
    with pytest.raises(ValueError, match=message):
        load_img(file, **options)


def test_load_refuses_files(tmp_path, file):
    with pytest.raises(FileNotFoundError):
        load_img(tmp_path / "nowhere.png")
    with pytest.raises(TypeError, match="BytesIO"):
        load_img(3)
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "short.png").write_bytes(file.read_bytes()[:120])
    for name in ("text.png", "short.png"):
        with pytest.raises(ValueError, match=name):
            load_img(tmp_path / name)


def test_without_pillow(monkeypatch, file):
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"triceras\[vision\]"):
        load_img(file)


@pytest.mark.parametrize("shape", [(8, 12, 3), (2, 8, 12, 3), (12, 8, 1)])
@pytest.mark.parametrize("size", [(4, 4), (16, 6), (8, 12)])
def test_smart_resize(shape, size):
    theirs = pytest.importorskip("keras", reason="the reference isn't installed").preprocessing.image
    x = np.random.default_rng(2).uniform(0, 255, shape).astype("float32")
    found = images.smart_resize(x, size)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, theirs.smart_resize(x, size), atol=1e-3)
    with pytest.raises(ValueError, match="rank"):
        images.smart_resize(x[0, 0], size)
