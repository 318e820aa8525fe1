"""Image data sets: files, labels, splits and pixels as the reference's; bad files and folders are named."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

import triceras
from triceras import layers
from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError
from triceras.preprocessing import opencv, reading
from triceras.training.feed import make_feed
from triceras.utils import image_dataset_from_directory, image_dataset_from_files

pil = pytest.importorskip("PIL.Image")
COUNTS = {"b": 3, "a": 6, "c": 4}
NAMES = ["a", "b", "c"]
SIZE = (12, 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes, one of them with folders inside, of smooth images whose colour tells the class."""
    root = tmp_path_factory.mktemp("classes")
    random = np.random.default_rng(1)
    for name, count in COUNTS.items():
        for i in range(count):
            place = root / name / f"part{i % 2}" if name == "c" else root / name
            place.mkdir(parents=True, exist_ok=True)
            small = random.integers(0, 100, (3, 3, 3)) + 50 * NAMES.index(name)
            image = pil.fromarray(small.astype("uint8")).resize((16, 12), pil.Resampling.BICUBIC)
            image.save(place / f"{i}.{'jpg' if i == 1 else 'png'}", quality=95)
    (root / "a" / "note.txt").write_text("no image")
    (root / ".hidden").mkdir()
    return root


@pytest.fixture(scope="module")
def theirs():
    keras = pytest.importorskip("keras", reason="the reference isn't installed")
    pytest.importorskip("tensorflow")
    return keras.utils.image_dataset_from_directory


def ours(folder, **options):
    return image_dataset_from_directory(folder, **{"image_size": SIZE, "verbose": False} | options)


def arrays(batches):
    """All batches joined."""
    found = [b if isinstance(b, tuple) else (b,) for b in batches]
    return [np.concatenate([np.asarray(a) for a in parts]) for parts in zip(*found, strict=True)]


CASES = {
    "plain": {},
    "categorical": {"label_mode": "categorical", "batch_size": 4},
    "binary": {"label_mode": "binary", "class_names": ["c", "a"]},
    "no labels": {"labels": None, "label_mode": None},
    "no label mode": {"label_mode": None},
    "list": {"labels": [0, 1, 0, 2, 1, 0, 0, 1, 0, 2, 1, 0, 0]},
    "other order": {"class_names": ["c", "b", "a"]},
    "gray": {"color_mode": "grayscale", "class_names": ["a"]},
    "channels first": {"data_format": "channels_first"},
    "training": {"validation_split": 0.3, "subset": "training", "shuffle": True, "seed": 7},
    "validation": {"validation_split": 0.3, "subset": "validation", "shuffle": True, "seed": 7},
    "both": {"validation_split": 0.3, "subset": "both", "seed": 3},
    **{f"larger, {m}": {"image_size": (24, 32), "interpolation": m} for m in reading.INTERPOLATIONS},
    **{f"smaller, {m}": {"image_size": (7, 9), "interpolation": m} for m in reading.INTERPOLATIONS},
    "crop": {"image_size": (12, 9), "crop_to_aspect_ratio": True},
    "pad": {"image_size": (20, 16), "pad_to_aspect_ratio": True},
}


@pytest.mark.parametrize("name", CASES)
def test_beside_the_reference(theirs, folder, name, capsys):
    options = {"image_size": SIZE, "shuffle": False, "seed": 1} | CASES[name]
    said, found = [], []
    for make in (image_dataset_from_directory, theirs):
        parts = make(str(folder), **options)
        said.append(capsys.readouterr().out)
        found.append(parts if isinstance(parts, list) else [parts])
    assert said[0] == said[1]
    for mine, other in zip(*found, strict=True):
        assert mine.file_paths == other.file_paths
        assert mine.class_names == other.class_names
        if options["shuffle"]:
            continue  # each pass has an order of its own
        a, b = arrays(mine), arrays(other)
        assert [x.shape for x in a] == [x.shape for x in b]
        assert a[-1].dtype == b[-1].dtype or name == "larger, nearest"  # which are bytes in the reference
        b[0] = b[0].clip(0, 255)
        if name != "gray":  # the reference weighs the colours of a PNG in another way
            jpeg = np.array([path.endswith("jpg") for path in mine.file_paths])  # decoders differ a little
            np.testing.assert_allclose(a[0][~jpeg], b[0][~jpeg], atol=1.01)
            np.testing.assert_allclose(a[0][jpeg], b[0][jpeg], atol=10)
        assert abs(a[0].mean() - b[0].mean()) < 3
        if len(a) > 1:
            np.testing.assert_array_equal(a[1], b[1])


def test_single_samples_and_other_batches(folder):
    data = ours(folder, batch_size=None, shuffle=False)
    x, y = data[0]
    assert (x.shape, y.shape, len(data), len(list(data))) == ((*SIZE, 3), (), 13, 13)
    assert [len(x) for x, _ in data.batch(5)] == [5, 5, 3]
    assert [len(x) for x, _ in ours(folder, batch_size=5).take(2)] == [5, 5]
    assert [len(x) for x, _ in ours(folder, batch_size=5).skip(2)] == [3]
    assert data.cache() is data and data.prefetch(2) is data


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"labels": [0, 1]}, ArgumentError, "2 labels for 13 files"),
        ({"labels": "x"}, ArgumentError, "labels"),
        ({"labels": 3}, ArgumentTypeError, "labels"),
        ({"label_mode": "x"}, ArgumentError, "label_mode"),
        ({"label_mode": "binary"}, ArgumentError, "2 classes"),
        ({"class_names": ["a", "z"]}, ArgumentError, "'z'"),
        ({"color_mode": "x"}, ArgumentError, "color_mode"),
        ({"batch_size": 0}, ArgumentError, "batch_size"),
        ({"image_size": (3,)}, ArgumentError, "image_size"),
        ({"interpolation": "x"}, ArgumentError, "interpolation"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, ArgumentError, "not both"),
        ({"data_format": "x"}, ArgumentError, "data_format"),
        ({"format": "x"}, ArgumentError, "format"),
        ({"on_error": "x"}, ArgumentError, "on_error"),
        ({"validation_split": 0.3, "subset": "training"}, ArgumentError, "seed"),
        ({"validation_split": 0.3, "seed": 1}, ArgumentError, "subset"),
        ({"subset": "training"}, ArgumentError, "validation_split"),
        ({"validation_split": 1.3, "seed": 1, "subset": "both"}, ArgumentError, "between 0 and 1"),
        ({"validation_split": 0.01, "seed": 1, "subset": "both"}, ArgumentError, "none for validation"),
    ],
)
def test_bad_arguments(folder, options, error, match):
    with pytest.raises(error, match=match):
        ours(folder, **options)


def test_bad_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ours(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match="No images found in"):
        ours(tmp_path)
    pil.new("RGB", (4, 4)).save(tmp_path / "1.png")
    with pytest.raises(ArgumentError, match=r"1 images beside them"):
        ours(tmp_path)
    assert ours(tmp_path, labels=None).file_paths == [str(tmp_path / "1.png")]
    with pytest.raises(NotADirectoryError):
        ours(tmp_path / "1.png")


@pytest.fixture
def spoiled(tmp_path):
    (tmp_path / "a").mkdir()
    for i in range(4):
        pil.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "a" / f"{i}.png")
    whole = (tmp_path / "a" / "2.png").read_bytes()
    (tmp_path / "a" / "1.png").write_bytes(b"GIF but not really")
    (tmp_path / "a" / "2.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "a" / "3.jpg").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("options", [{}, {"workers": 0}, {"workers": 3, "batch_size": 1}])
def test_a_broken_file_is_named(spoiled, options):
    with pytest.raises(FileFormatError, match=r"1\.png"):
        list(ours(spoiled, shuffle=False, **options))
    with pytest.raises(FileFormatError, match=r"1\.png"):
        list(make_feed(ours(spoiled, shuffle=False, **options)).epoch(0))


def test_broken_files_may_be_left_out(spoiled):
    with pytest.warns(UserWarning, match=r"Left out 3 files .*1\.png"):
        data = ours(spoiled, on_error="skip", shuffle=False)
    assert [os.path.basename(p) for p in data.file_paths] == ["0.png", "3.png"] and len(data.labels) == 2
    with pytest.raises(FileFormatError, match="None of the 1 files"):
        image_dataset_from_files([spoiled / "a" / "1.png"], on_error="skip", verbose=False)


def test_huge_images_are_named_or_read(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    pil.new("RGB", (300, 300)).save(tmp_path / "a" / "wide.png")
    monkeypatch.setattr(pil, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr(opencv, "MOST_PIXELS", 1000)
    with pytest.raises(FileFormatError, match=r"wide\.png.*pixels"):
        ours(tmp_path)[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I"])
def test_every_kind_of_image(tmp_path, mode):
    image = pil.new("RGB", (16, 12), (200, 200, 200))
    if mode.startswith("I"):
        image = pil.fromarray(np.full((12, 16), 200 * 257, np.uint16))
    elif mode == "P":
        image = image.quantize()
        image.info["transparency"] = bytes([0])
    elif mode == "1":
        image = pil.new("1", (16, 12), 1)
    else:
        image = image.convert(mode)
    path = tmp_path / f"x.{'tif' if mode == 'CMYK' else 'png'}"
    image.save(path)
    for color_mode, channels in (("grayscale", 1), ("rgb", 3), ("rgba", 4)):
        x = image_dataset_from_files([path], image_size=SIZE, color_mode=color_mode, verbose=False)[0]
        assert x.shape == (1, *SIZE, channels)
        assert (np.abs(x[..., : min(channels, 3)] - (255 if mode == "1" else 200)) <= 1).all()


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_opencv_gives_the_pixels_of_pillow(tmp_path, monkeypatch, kind, mode, color_mode):
    pytest.importorskip("cv2")
    small = pil.fromarray(np.random.default_rng(3).integers(0, 256, (5, 4, 4), dtype=np.uint8))
    kept = kind == "png" or mode == "L"
    image = small.resize(SIZE[::-1], pil.Resampling.BICUBIC).convert(mode if kept else "RGB")
    image.save(tmp_path / f"x.{kind}")
    whole = (tmp_path / f"x.{kind}").read_bytes()
    read = reading.Reader(SIZE, color_mode)
    fast = opencv.decode(whole, color_mode)
    assert (fast is not None) == (kind == "jpg" or color_mode == "rgb" or mode == "L")
    found = [read(tmp_path / f"x.{kind}")]
    monkeypatch.setattr(opencv, "library", lambda: None)
    np.testing.assert_array_equal(found[0], read(tmp_path / f"x.{kind}"))


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_opencv_decodes_no_broken_files(tmp_path, kind):
    pytest.importorskip("cv2")
    noise = np.random.default_rng(3).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    pil.fromarray(noise).save(tmp_path / f"x.{kind}")
    whole = (tmp_path / f"x.{kind}").read_bytes()
    spoiled = bytearray(whole)
    spoiled[len(whole) // 2] ^= 0xFF
    assert opencv.decode(whole, "rgb") is not None
    for part in [whole[:n] for n in (0, 1, 2, 9, 26, 40, len(whole) // 2, len(whole) - 1)]:
        assert opencv.decode(part, "rgb") is None
    if kind == "png":
        assert opencv.decode(bytes(spoiled), "rgb") is None
    reader = reading.Reader(SIZE)
    (tmp_path / f"y.{kind}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match=rf"y\.{kind}"):
        reader(str(tmp_path / f"y.{kind}"))


def test_large_jpegs_are_averaged(tmp_path):
    """A JPEG that is decoded at a fraction of its size shows what all of its pixels are on average."""
    fine = np.random.default_rng(0).integers(0, 256, (64, 64)).astype("uint8")
    pil.fromarray(fine).resize((256, 256), pil.Resampling.BICUBIC).save(tmp_path / "x.jpg", quality=95)
    whole = np.asarray(pil.open(tmp_path / "x.jpg"), "float32")
    x = image_dataset_from_files(
        [tmp_path / "x.jpg"], image_size=(64, 64), color_mode="grayscale", verbose=False
    )[0]
    np.testing.assert_allclose(x[0, ..., 0], whole.reshape(64, 4, 64, 4).mean(axis=(1, 3)), atol=12)


# ---- files and tables


def test_files_with_labels(folder):
    paths = [folder / "a" / "0.png", folder / "b" / "0.png", folder / "b" / "2.png"]
    make = lambda labels, **o: image_dataset_from_files(  # noqa: E731
        paths, labels, image_size=SIZE, shuffle=False, verbose=False, **o
    )
    assert make(["x", "y", "x"]).class_names == ["x", "y"]
    assert make(["x", "y", "x"], class_names=["y", "x"])[0][1].tolist() == [1, 0, 1]
    assert make([2, 0, 2]).labels.tolist() == [2, 0, 2]
    assert make([0.5, 1.5, 2.5])[0][1].tolist() == [0.5, 1.5, 2.5]
    assert make(None)[0].shape == (3, *SIZE, 3)
    for labels, match in [(["x"], "3 files"), ([-1, 0, 0], "from 0"), ([[1], [2], [3]], "one for each")]:
        with pytest.raises(ArgumentError, match=match):
            make(labels)
    with pytest.raises(ArgumentError, match="class_names"):
        make(["x", "y", "z"], class_names=["x", "y"])
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        image_dataset_from_files(["gone.png"], verbose=False)
    with pytest.raises(ArgumentTypeError, match="table"):
        image_dataset_from_files("folder", verbose=False)


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na/0.png,one\nb/0.png,two\n",
        "a/0.png;one\r\nb/0.png;two\r\n\r\n",
        '"a/0.png" one\n"b/0.png" two',
        "\ufeffimage\tclass\na/0.png\tone\nb/0.png\ttwo",
        "Category,split,Image Path\none,train,a/0.png\ntwo,train,b/0.png\n",
        ",file,label\n0,a/0.png,one\n1,b/0.png,two\n",
        "name,what\na/0.png,one\nb/0.png,two\n",
        "one,a/0.png\ntwo,b/0.png\n",
    ],
)
def test_tables(folder, tmp_path, text):
    (tmp_path / "table.csv").write_text(text, encoding="utf-8")
    data = image_dataset_from_files(
        tmp_path / "table.csv", directory=folder, image_size=SIZE, shuffle=False, verbose=False
    )
    assert (data.class_names, data.labels.tolist()) == (["one", "two"], [0, 1])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "empty"),
        ("a.png\n", "line 1"),
        ("a.png,1\nb.png\n", "line 2"),
        ("a.png,1\n", "don't exist"),
        ("file,cat,dog\na.png,0,1\n", "call the columns file and label"),
        ("file,label\na.png,\n", "line 2"),
    ],
)
def test_bad_tables(tmp_path, text, match):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(FileFormatError, match=match):
        image_dataset_from_files(tmp_path / "table.csv", verbose=False)


# ---- order, workers, memory


def epochs(data, count=2, **options):
    feed = make_feed(data, shuffle=True, seed=99, **options)
    try:
        return [list(feed.batches(epoch)) for epoch in range(count)]
    finally:
        feed.close()


def same(a, b):
    leaves = [[x for epoch in made for batch in epoch for x in batch] for made in (a, b)]
    return all(np.array_equal(x, y) for x, y in zip(*leaves, strict=True))


def noise(x, random):
    return x + random.normal(size=x.shape).astype("float32")


@pytest.mark.parametrize("augment", [None, noise])
def test_batches_depend_on_seed_and_epoch_alone(folder, augment):
    made = [
        epochs(ours(folder, seed=5, batch_size=4, augment=augment, **options))
        for options in ({}, {"workers": 0}, {"workers": 4}, {"cache": False}, {"cache": 100})
    ]
    assert all(same(made[0], other) for other in made[1:])
    assert not same(made[0][:1], made[0][1:])
    assert not same(made[0], epochs(ours(folder, seed=6, batch_size=4, augment=augment)))


def test_pixels_stay_bytes_until_the_step_and_are_decoded_once(folder):
    data = ours(folder, seed=5, batch_size=4)
    feed = make_feed(data, shuffle=True)
    assert feed.arrays is None and feed.peek()[0].dtype == np.uint8
    assert str(feed.example()[0].dtype).endswith("float32")
    list(feed.batches(0))
    x, y = feed.arrays
    assert x.dtype == np.uint8 and x is feed.arrays[0] and y.tolist() == data.labels.tolist()
    assert np.array_equal(x[feed.order(1)[:4]], next(iter(feed.epoch(1)))[0])
    feed.close()


def test_evaluation_sees_files_in_their_order(folder):
    data = ours(folder, seed=5, batch_size=4)
    y = np.concatenate([y for _, y in make_feed(data).epoch(0)])
    assert y.tolist() == data.labels.tolist() and y.tolist() != sorted(y.tolist())
    first, second = ([y.tolist() for _, y in data] for _ in range(2))
    assert first != second  # iterating shuffles anew


def test_processes(tmp_path, folder):
    """Worker processes give the same batches, import no engine, and what they decode is kept."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        import numpy as np
        from triceras.training.feed import make_feed
        from triceras.utils import image_dataset_from_directory

        def check(x, random):
            assert not {{"jax", "torch", "tensorflow"}} & set(sys.modules)
            return x + random.normal()

        if __name__ == "__main__":
            for augment in (None, check):
                made = []
                for processes in (False, True):
                    data = image_dataset_from_directory(
                        {str(folder)!r}, image_size=(8, 8), batch_size=4, seed=1, verbose=False,
                        augment=augment, use_multiprocessing=processes, workers=2,
                    )
                    feed = make_feed(data, shuffle=True)
                    made.append([list(feed.batches(e)) for e in range(2)])
                    assert (feed.arrays is not None) == (augment is None)
                    feed.close()
                for a, b in zip(*made):
                    assert all(np.array_equal(p, q) for m, n in zip(a, b) for p, q in zip(m, n))
            print("same")
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "same", done.stderr


def test_map_and_layers(folder):
    data = ours(folder, seed=5, batch_size=4, shuffle=False)
    doubled = data.map(lambda x, y: (x * 2, y + 1))
    assert np.array_equal(doubled[0][0], data[0][0] * 2) and np.array_equal(doubled[0][1], data[0][1] + 1)
    assert make_feed(doubled).example()[0].dtype == np.float32
    with triceras.use_engine("numpy"):
        dropped = data.augment(layers.Dropout(0.5, seed=1))
        layer = layers.GaussianNoise(3.0, seed=1)
        noisy = data.augment(lambda x: layer(x, training=True))
        assert dropped[0][0].shape == noisy[0][0].shape
        assert isinstance(noisy[0][0], np.ndarray) and not np.array_equal(noisy[0][0], data[0][0])


def test_copies_and_pickles(folder):
    data = ours(folder, seed=5, batch_size=4, shuffle=False)
    again = pickle.loads(pickle.dumps(data))
    assert np.array_equal(again[1][0], data[1][0]) and again.class_names == data.class_names


# ---- training


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow"])
def test_training_on_every_engine(folder, engine):
    pytest.importorskip(engine)
    with triceras.use_engine(engine):
        triceras.utils.set_random_seed(0)
        model = triceras.Sequential(
            [
                layers.Input((*SIZE, 3)),
                layers.Rescaling(1 / 255),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ]
        )
        loss = triceras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(triceras.optimizers.Adam(0.3), loss, metrics=["accuracy"])
        data = ours(folder, seed=5, batch_size=4)
        history = model.fit(data, epochs=6, validation_data=data, verbose=0, balance=True)
        assert history.history["val_accuracy"][-1] >= 0.7
        results = model.evaluate(data, verbose=0, return_dict=True)
        predicted = model.predict(data, verbose=0).argmax(axis=1)
        assert np.mean(predicted == data.labels) == pytest.approx(results["accuracy"])


def test_no_engine_is_needed(folder):
    code = (
        "import sys; from triceras.utils import image_dataset_from_directory as f\n"
        f"x, y = f({str(folder)!r}, image_size=(4, 4), verbose=False)[0]\n"
        "print(x.shape, {'jax', 'torch', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180)
    assert done.stdout.strip() == "(13, 4, 4, 3) set()", done.stderr


def test_adapt_and_warnings(folder):
    data = ours(folder, batch_size=4)
    with warnings.catch_warnings(), triceras.use_engine("numpy"):
        warnings.simplefilter("error")
        layer = layers.Normalization()
        layer.adapt(data)
        x = arrays(ours(folder, shuffle=False))[0]
        np.testing.assert_allclose(np.ravel(layer.mean), x.mean(axis=(0, 1, 2)), rtol=1e-5)
        np.testing.assert_allclose(np.ravel(layer.variance), x.var(axis=(0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"workers": 2, "use_multiprocessing": True}], ids=["here", "processes"]
)
def test_batches_are_used_as_tutorials_use_tensors(folder, options):
    data = ours(folder, batch_size=4, shuffle=False)
    data.__dict__.update(options)
    names = data.class_names
    for images, labels in data.take(1):
        assert images.shape == (4, *SIZE, 3) and images.numpy().__class__ is np.ndarray
        assert images[0].numpy().astype("uint8").dtype == "uint8"
        assert [names[labels[i]] for i in range(4)] == [names[int(label)] for label in labels] == ["a"] * 4
        assert labels[0].numpy() == 0 and {0: "found"}[labels[0]] == "found"
    assert data.cardinality().numpy() == len(data) == 4
    images, labels = next(iter(data))
    assert labels.numpy().tolist() == [0] * 4 and f"{labels[1]}" == "0"
    assert len(list(data.as_numpy_iterator())) == 4
    assert [image.shape for image, _ in data.unbatch().take(2)] == [(*SIZE, 3)] * 2
    with pytest.raises(TypeError):
        hash(labels)
    model = triceras.Sequential([layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    assert np.isfinite(model.train_on_batch(images, labels)) and model(images).shape == (4, 3)
    assert np.isfinite(model.fit(data, verbose=0).history["loss"][0])
