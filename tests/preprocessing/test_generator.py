"""ImageDataGenerator and its iterators give what the reference's give; training repeats and balances them."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from triceras.preprocessing.image import ImageDataGenerator, Iterator

from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError
from triceras.preprocessing import affine
from triceras.training.feed import make_feed

pil = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.filterwarnings("ignore:Please import `affine_transform`")  # of the reference
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 6, 7, 3)).astype("float32")
LABELS = np.arange(10) % 3


@pytest.fixture(scope="module")
def theirs():
    pytest.importorskip("keras", reason="the reference isn't installed")
    return pytest.importorskip("keras.src.legacy.preprocessing.image")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("classes")
    random = np.random.default_rng(1)
    for name, count in (("b", 3), ("a", 5)):
        for i in range(count):
            place = root / name / f"part{i % 2}"
            place.mkdir(parents=True, exist_ok=True)
            pil.fromarray(random.integers(0, 256, (9, 13, 3), dtype=np.uint8)).save(place / f"{i}.png")
    (root / "a" / "note.txt").write_text("no image")
    return root


def quietly(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


AFFINE = [
    {"theta": 30},
    {"tx": 1.3, "ty": -2},
    {"shear": 20},
    {"zx": 0.6, "zy": 1.7},
    {"theta": -75, "tx": 2, "ty": 1.5, "shear": 11, "zx": 1.4, "zy": 0.7},
]


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("fill_mode", affine.FILL_MODES)
def test_affine_transforms(theirs, fill_mode, order):
    pytest.importorskip("scipy")
    for options in AFFINE:
        for axes in ({"row_axis": 0, "col_axis": 1, "channel_axis": 2}, {}):
            x = IMAGES[0] if axes else IMAGES[0].transpose(2, 0, 1)
            both = [
                m.apply_affine_transform(x, fill_mode=fill_mode, cval=7.0, order=order, **options, **axes)
                for m in (affine, theirs)
            ]
            np.testing.assert_allclose(*both, atol=2e-3, err_msg=str(options))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("apply_channel_shift", (20.0, 2)),
        ("apply_brightness_shift", (1.4,)),
        ("apply_brightness_shift", (0.4, False)),
        ("random_rotation", (40, 0, 1, 2)),
        ("random_shift", (0.3, 0.2, 0, 1, 2)),
        ("random_shear", (20, 0, 1, 2)),
        ("random_zoom", ((0.5, 1.5), 0, 1, 2)),
        ("random_channel_shift", (30.0, 2)),
        ("random_brightness", ((0.5, 1.5),)),
    ],
)
def test_single_changes(theirs, name, arguments):
    pytest.importorskip("scipy")
    found = []
    for module in (affine, theirs):
        np.random.seed(3)
        found.append(getattr(module, name)(IMAGES[0], *arguments))
    np.testing.assert_allclose(*found, atol=2e-3)


ALL = {
    "rotation_range": 20,
    "width_shift_range": 0.2,
    "height_shift_range": [-2, 0, 2],
    "shear_range": 5,
    "zoom_range": 0.3,
    "channel_shift_range": 10,
    "brightness_range": (0.5, 1.5),
    "horizontal_flip": True,
    "vertical_flip": True,
    "rescale": 1 / 255,
}
OPTIONS = {
    "all": ALL,
    "pixels": {"width_shift_range": 3, "height_shift_range": 3.0, "fill_mode": "reflect"},
    "one pixel": {"width_shift_range": 1, "height_shift_range": 1.0, "fill_mode": "constant", "cval": 9},
    "samplewise": {"samplewise_center": True, "samplewise_std_normalization": True, "dtype": "float64"},
    "featurewise": {"featurewise_center": True, "featurewise_std_normalization": True, "rescale": 0.5},
    "zca": {"featurewise_center": True, "zca_whitening": True, "zca_epsilon": 1e-3},
    "function": {"preprocessing_function": lambda x: x[::-1] * 2},
    "channels first": {"data_format": "channels_first", **ALL, "brightness_range": None},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_flow(theirs, name):
    pytest.importorskip("scipy")
    options = OPTIONS[name]
    x = IMAGES.transpose(0, 3, 1, 2) if options.get("data_format") else IMAGES
    ours, other = ImageDataGenerator(**options), theirs.ImageDataGenerator(**options)
    for g in (ours, other):
        g.fit(x.copy(), augment=name == "featurewise", rounds=2, seed=4)
    tolerance = {"rtol": 1e-3, "atol": 2e-3}
    for statistic in ("mean", "std", "zca_whitening_matrix"):
        if getattr(other, statistic) is not None:
            np.testing.assert_allclose(getattr(ours, statistic), getattr(other, statistic), **tolerance)
    assert ours.get_random_transform(x.shape[1:], seed=3) == other.get_random_transform(x.shape[1:], seed=3)
    pairs = [g.flow(x.copy(), LABELS, batch_size=4, seed=5) for g in (ours, other)]
    for _ in range(5):
        (a, b), (c, d) = (next(iterator) for iterator in pairs)
        np.testing.assert_allclose(a, c, **tolerance)
        assert a.dtype == c.dtype and b.tolist() == d.tolist()
    for index in (1, 0):
        np.testing.assert_allclose(pairs[0][index][0], pairs[1][index][0], **tolerance)
    for iterator in pairs:
        iterator.on_epoch_end()
        iterator.reset()
    assert pairs[0].index_array.tolist() == pairs[1].index_array.tolist()
    for attribute in ("n", "batch_size", "batch_index", "total_batches_seen", "seed", "shuffle"):
        assert getattr(pairs[0], attribute) == getattr(pairs[1], attribute)
    assert len(pairs[0]) == len(pairs[1])


def test_flow_passes_everything_on(theirs, tmp_path):
    for make in (ImageDataGenerator, theirs.ImageDataGenerator):
        flow = make(validation_split=0.3).flow
        first = flow(IMAGES, LABELS, subset="validation", shuffle=False, batch_size=9)
        assert first[0][1].tolist() == [0, 1, 2]
        assert flow(IMAGES, LABELS, subset="training").n == 7
        both = IMAGES, [LABELS, LABELS]
        x, y, w = flow(both, LABELS, sample_weight=LABELS, batch_size=4, seed=1)[0]
        assert [a.shape for a in x] == [(4, 6, 7, 3), (4,), (4,)]
        assert x[1].tolist() == y.tolist() == w.tolist()
        assert flow(IMAGES).n == 10 and next(flow(IMAGES, batch_size=4)).shape == (4, 6, 7, 3)
        with pytest.raises(ValueError, match="classes"):
            flow(IMAGES, np.arange(10), subset="training")
        assert flow(IMAGES, np.arange(10), subset="training", ignore_class_split=True).n == 7
    next(ImageDataGenerator().flow(IMAGES, batch_size=2, save_to_dir=tmp_path / "seen", save_prefix="x"))
    assert len(list((tmp_path / "seen").glob("x_*.png"))) == 2


@pytest.mark.parametrize("class_mode", ["categorical", "binary", "sparse", "input", None])
def test_flow_from_directory(theirs, folder, class_mode, capsys):
    found = []
    for make in (ImageDataGenerator, theirs.ImageDataGenerator):
        it = make(validation_split=0.4, rescale=0.5).flow_from_directory(
            str(folder), target_size=(5, 4), class_mode=class_mode, batch_size=3, seed=1, subset="training",
            interpolation="bilinear", keep_aspect_ratio=True,
        )  # fmt: skip
        batch = next(it)
        found.append(
            {
                "said": capsys.readouterr().out,
                "batch": [a.tolist() for a in (batch if isinstance(batch, tuple) else (batch,))],
                "types": [str(a.dtype) for a in (batch if isinstance(batch, tuple) else (batch,))],
                **{k: getattr(it, k) for k in ("class_indices", "filenames", "filepaths", "samples", "n")},
                **{k: getattr(it, k) for k in ("num_classes", "image_shape", "directory", "class_mode")},
                "classes": it.classes.tolist(),
                "labels": np.asarray(it.labels).tolist(),
            }
        )
    assert found[0] == found[1]


def frame():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(
        {
            "filename": ["a/part0/0.png", "a/part1/1.png", "b/part0/0.png", "gone.png"],
            "class": ["u", "v", "u", "v"],
            "several": [["u", "v"], "v", ["w"], "u"],
            "value": [0.1, 0.2, 0.3, 0.4],
            "weight": [1.0, 2.0, 3.0, 4.0],
        }
    )


@pytest.mark.parametrize(
    ("class_mode", "y_col", "options"),
    [
        ("categorical", "class", {}),
        ("categorical", "several", {}),
        ("categorical", "class", {"classes": ["v", "u"]}),
        ("binary", "class", {}),
        ("sparse", "class", {"classes": ["u"]}),
        ("raw", "value", {}),
        ("multi_output", ["value", "weight"], {}),
        ("input", "class", {}),
        (None, "class", {}),
    ],
)
def test_flow_from_dataframe(theirs, folder, class_mode, y_col, options):
    found = []
    for make in (ImageDataGenerator, theirs.ImageDataGenerator):
        weights = {} if class_mode in (None, "input") else {"weight_col": "weight"}
        with pytest.warns(UserWarning, match=r"1 (files|invalid)"):
            it = make().flow_from_dataframe(
                frame(), str(folder), y_col=y_col, class_mode=class_mode, target_size=(5, 4), shuffle=False,
                **weights, **options,
            )  # fmt: skip
        if class_mode in (None, "input") and not hasattr(it, "classes"):
            continue  # the reference can't make these batches
        batch = it[0] if isinstance(it[0], tuple) else (it[0],)
        flat = [a for part in batch for a in (part if isinstance(part, list) else [part])]
        values = [[a.tolist(), a.dtype] for a in flat]
        found.append([values, it.filenames, getattr(it, "class_indices", None)])
    if len(found) == 2:
        assert found[0] == found[1]


def test_the_old_name_of_raw(folder):
    options = {"y_col": "value", "validate_filenames": False, "shuffle": False, "target_size": (5, 4)}
    with pytest.warns(DeprecationWarning, match='"raw"'):
        old = ImageDataGenerator().flow_from_dataframe(frame(), str(folder), class_mode="other", **options)
    new = ImageDataGenerator().flow_from_dataframe(frame(), str(folder), class_mode="raw", **options)
    np.testing.assert_array_equal(old._values, new._values)


def test_bad_arguments(folder, tmp_path):
    for options, match in [
        ({"zoom_range": [1, 2, 3]}, "zoom_range"),
        ({"brightness_range": 3}, "brightness_range"),
        ({"validation_split": 2}, "validation_split"),
        ({"data_format": "sideways"}, "data_format"),
    ]:
        with pytest.raises(ArgumentError, match=match):
            ImageDataGenerator(**options)
    for option in ("zca_whitening", "featurewise_std_normalization", "samplewise_std_normalization"):
        with pytest.warns(UserWarning, match=option):
            ImageDataGenerator(**{option: True})
    with pytest.warns(UserWarning, match="call `fit"):
        ImageDataGenerator(featurewise_center=True).standardize(IMAGES[0])
    make = ImageDataGenerator()
    for call, error, match in [
        (lambda: make.flow(IMAGES[0]), ValueError, "rank 4"),
        (lambda: make.flow(IMAGES, LABELS[:3]), ValueError, "10 samples"),
        (lambda: make.flow(IMAGES, subset="test"), ArgumentError, "subset"),
        (lambda: make.flow_from_directory(tmp_path / "nowhere"), FileNotFoundError, "nowhere"),
        (lambda: make.flow_from_directory(folder, class_mode="x"), ArgumentError, "class_mode"),
        (lambda: make.flow_from_dataframe(frame(), folder, y_col="no"), ArgumentError, "no column 'no'"),
        (
            lambda: quietly(make.flow_from_dataframe, frame(), folder, y_col="value"),
            ArgumentTypeError,
            "text",
        ),
        (lambda: make.flow_from_dataframe(frame(), folder, what=1), ArgumentTypeError, "what"),
        (lambda: make.flow(IMAGES)[5], IndexError, "1 batches"),
    ]:
        with pytest.raises(error, match=match):
            call()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "broken.png").write_bytes(b"no image")
    with pytest.raises(FileFormatError, match=r"broken\.png"):
        next(make.flow_from_directory(tmp_path, target_size=(4, 4)))


def test_sixteen_bits_stay_what_they_are(tmp_path):
    (tmp_path / "c").mkdir()
    pil.fromarray(np.full((4, 4), 3000, np.uint16)).save(tmp_path / "c" / "deep.png")
    it = ImageDataGenerator().flow_from_directory(tmp_path, target_size=(4, 4), color_mode="grayscale")
    assert it[0][0].max() == 3000


def test_in_training_batches_repeat_whatever_the_workers_and_classes_are_even(folder):
    def epoch(balance=False, **options):
        it = ImageDataGenerator(rotation_range=30, horizontal_flip=True).flow_from_directory(
            folder, target_size=(6, 6), class_mode="sparse", batch_size=3, seed=7
        )
        it.__dict__.update(options)
        feed = make_feed(it, shuffle=True, balance=balance)
        try:
            return list(feed.epoch(1))
        finally:
            feed.close()

    first, second = epoch(), epoch(workers=3)
    assert [len(x) for x, _ in first] == [3, 3, 2]
    for (a, b), (c, d) in zip(first, second, strict=True):
        assert np.array_equal(a, c) and np.array_equal(b, d)
    labels = np.concatenate([y for _, y in epoch(balance=True)])
    assert np.bincount(labels.astype(int)).tolist() == [4, 4]


def test_users_iterators_and_copies():
    class Mine(Iterator):
        def _get_batches_of_transformed_samples(self, index_array):
            return index_array * 10

    it = Mine(5, 2, False, None)
    assert [next(it).tolist() for _ in range(4)] == [[0, 10], [20, 30], [40], [0, 10]]
    assert [b.tolist() for (b,) in make_feed(it).epoch(0)] == [[0, 10], [20, 30], [40]]
    flow = ImageDataGenerator().flow(IMAGES, LABELS, shuffle=False)
    assert np.array_equal(pickle.loads(pickle.dumps(flow))[0][0], flow[0][0])
