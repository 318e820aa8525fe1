from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.batches import batch
from triceras.core import config
from triceras.core.errors import DataUnavailableError, FileFormatError
from triceras.datasets import cifar10, cifar100, digits, fashion_mnist, idx, mnist
from triceras.datasets.cifar import BatchReader

NOWHERE = "http://127.0.0.1:1/"
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """No network, no cache of the user's, and sets of a few images."""
    monkeypatch.setenv("TRICERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "user"))
    monkeypatch.delenv("TRICERAS_DATA", raising=False)
    monkeypatch.setattr(mnist, "URL", NOWHERE + "mnist.npz")
    monkeypatch.setattr(fashion_mnist, "URL", NOWHERE)
    for key, shape in idx.SHAPES.items():
        monkeypatch.setitem(idx.SHAPES, key, (shape[0] // 1000, *shape[1:]))
    for module, name in ((cifar10, "CIFAR10"), (cifar100, "CIFAR100")):
        cifar = getattr(module, name)
        small = replace(
            cifar,
            file=replace(cifar.file, url=NOWHERE + cifar.file.name),
            train={batch: count // 1000 for batch, count in cifar.train.items()},
            test={batch: count // 1000 for batch, count in cifar.test.items()},
        )
        monkeypatch.setattr(module, name, small)


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("TRICERAS_DATA", str(folder))
    return folder


def arrays():
    return {
        key: rng.integers(0, 256 if key.startswith("x") else 10, shape, dtype=np.uint8)
        for key, shape in idx.SHAPES.items()
    }


def write_npz(path, content=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content or arrays()
    np.savez_compressed(path, **content, **options)
    return content


def write_idx(folder, ending=".gz"):
    folder.mkdir(parents=True)
    content = arrays()
    for key, array in content.items():
        raw = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
        (folder / (idx.NAMES[key] + ending)).write_bytes(gzip.compress(raw) if ending else raw)
    return content


def equal(loaded, content):
    (x_train, y_train), (x_test, y_test) = loaded
    for key, array in zip(idx.NAMES, (x_train, y_train, x_test, y_test)):
        assert array.dtype == np.uint8 and array.flags.writeable and np.array_equal(array, content[key])
    return True


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# MNIST and Fashion-MNIST


@pytest.mark.parametrize("place", ["mnist.npz", "mnist/mnist.npz"])
def test_mnist_from_npz(data, place):
    content = write_npz(data / place)
    assert equal(mnist.load_data(), content)


@pytest.mark.parametrize("ending", [".gz", ""])
@pytest.mark.parametrize(
    ("module", "folder"),
    [(mnist, folder) for folder in mnist.IDX_FOLDERS]
    + [(fashion_mnist, folder) for folder in fashion_mnist.FOLDERS],
)
def test_from_idx(data, module, folder, ending):
    content = write_idx(data / folder, ending)
    assert equal(module.load_data(), content)


def test_mnist_labels_of_another_integer_type(data):
    content = write_npz(
        data / "mnist.npz", {k: v.astype(np.int64) if k.startswith("y") else v for k, v in arrays().items()}
    )
    assert equal(mnist.load_data(), content)


@pytest.mark.parametrize(
    "change",
    [
        {"x_train": np.zeros((59, 28, 28), np.uint8)},
        {"x_test": np.zeros((10, 28, 28), np.float32)},
        {"y_test": np.full(10, 10)},
        {"y_test": np.full(10, -1)},
        {"y_train": np.array([object()] * 60)},
    ],
)
def test_mnist_of_wrong_content(data, change):
    write_npz(data / "mnist.npz", {**arrays(), **change})
    with pytest.raises(FileFormatError, match=str(data / "mnist.npz")):
        mnist.load_data()


def test_mnist_broken(data):
    path = data / "mnist.npz"
    write_npz(path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[2000:2100] = bytes(100)
    huge = io.BytesIO()  # declares a terabyte
    np.lib.format.write_array_header_1_0(
        huge, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    for content in (b"", b"text", whole[: len(whole) // 2], damaged, pickle.dumps([1]), gzip.compress(b"x")):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"mnist\.npz"):
            mnist.load_data()
    with zipfile.ZipFile(path, "w") as archive:
        for key in idx.NAMES:
            archive.writestr(f"{key}.npy", huge.getvalue())
    with pytest.raises(FileFormatError, match=r"mnist\.npz"):
        mnist.load_data()


@pytest.mark.parametrize("change", ["empty", "text", "short", "long", "header", "damaged"])
def test_idx_broken(data, change):
    write_idx(data / "fashion_mnist")
    path = data / "fashion_mnist" / (idx.NAMES["x_test"] + ".gz")
    raw, packed = gzip.decompress(path.read_bytes()), path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "text": b"text",
            "short": packed[:-100],
            "long": gzip.compress(raw + b"x"),
            "header": gzip.compress(b"\1" + raw[1:]),
            "damaged": packed[:1000] + bytes(50) + packed[1050:],
        }[change]
    )
    with pytest.raises(FileFormatError, match=path.name):
        fashion_mnist.load_data()


def test_idx_missing(data):
    write_idx(data / "fashion_mnist")
    (data / "fashion_mnist" / (idx.NAMES["y_test"] + ".gz")).unlink()
    with pytest.raises(DataUnavailableError, match=f"fashion_mnist.*{idx.NAMES['y_test']}"):
        fashion_mnist.load_data()


@pytest.mark.parametrize("path", ["", "..", "a/mnist.npz", "/a/mnist.npz", None])
def test_mnist_refuses_paths(path):
    with pytest.raises(ValueError, match="plain file name"):
        mnist.load_data(path)


# Lookup


def test_downloads_then_reads_the_cache(tmp_path, monkeypatch):
    origin = tmp_path / "origin.npz"
    content = write_npz(origin)
    monkeypatch.setattr(mnist, "URL", origin.as_uri())
    monkeypatch.setattr(mnist, "SHA256", sha256(origin))
    for name in ("mnist.npz", "other.npz"):
        assert equal(mnist.load_data(name), content)
        assert (tmp_path / "home/datasets" / name).is_file()
    monkeypatch.setattr(mnist, "URL", NOWHERE)
    assert equal(mnist.load_data(), content)
    monkeypatch.setattr(mnist, "URL", origin.as_uri())
    (tmp_path / "home/datasets/mnist.npz").write_bytes(b"damaged")
    assert equal(mnist.load_data(), content)


def test_reads_the_reference_cache_but_writes_its_own(tmp_path, monkeypatch):
    path = tmp_path / "user/.keras/datasets/mnist.npz"
    content = write_npz(path)
    monkeypatch.setattr(mnist, "SHA256", sha256(path))
    assert equal(mnist.load_data(), content)
    assert not (tmp_path / "home").exists()


def test_the_data_folder_comes_first(data, tmp_path, monkeypatch):
    path = tmp_path / "home/datasets/mnist.npz"
    write_npz(path)
    monkeypatch.setattr(mnist, "SHA256", sha256(path))
    content = write_npz(data / "mnist.npz")
    assert equal(mnist.load_data(), content)


def test_fashion_downloads_four_files(tmp_path, monkeypatch):
    content = write_idx(tmp_path / "origin")
    monkeypatch.setattr(fashion_mnist, "URL", (tmp_path / "origin").as_uri() + "/")
    hashes = {key: sha256(tmp_path / "origin" / f"{name}.gz") for key, name in idx.NAMES.items()}
    monkeypatch.setattr(fashion_mnist, "SHA256", hashes)
    assert equal(fashion_mnist.load_data(), content)
    assert sorted(os.listdir(tmp_path / "home/datasets/fashion-mnist")) == sorted(
        f"{n}.gz" for n in idx.NAMES.values()
    )


@pytest.mark.parametrize("module", [mnist, fashion_mnist, cifar10, cifar100])
def test_nowhere_to_be_had(module, data, tmp_path):
    with pytest.raises(OSError) as caught:
        module.load_data()
    message = str(caught.value)
    assert isinstance(caught.value, DataUnavailableError)
    for part in (
        str(data),
        str(tmp_path / "home/datasets"),
        str(tmp_path / "user/.keras/datasets"),
        "TRICERAS_DATA",
        NOWHERE,
        "Connection refused",
    ):
        assert part in message


def test_a_download_with_another_hash_is_not_used(tmp_path, monkeypatch):
    write_npz(tmp_path / "origin.npz")
    monkeypatch.setattr(mnist, "URL", (tmp_path / "origin.npz").as_uri())
    with pytest.raises(DataUnavailableError, match="isn't the expected file"):
        mnist.load_data()
    assert not list((tmp_path / "home/datasets").iterdir())


def test_a_damaged_cache_is_named(tmp_path):
    path = tmp_path / "user/.keras/datasets/mnist.npz"
    write_npz(path)
    with pytest.raises(DataUnavailableError, match=f"{path} is damaged"):
        mnist.load_data()


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    write_npz(tmp_path / "origin.npz")
    monkeypatch.setattr(mnist, "URL", (tmp_path / "origin.npz").as_uri())
    (tmp_path / "home").write_text("a file in the way")
    with pytest.raises(DataUnavailableError, match="home"):
        mnist.load_data()


def test_a_data_folder_that_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("TRICERAS_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataUnavailableError, match="which is no folder"):
        mnist.load_data()


# CIFAR

LABELS = {"cifar10": {"labels": 10}, "cifar100": {"fine_labels": 100, "coarse_labels": 20}}


def write_cifar(folder, cifar):
    """The batches in a folder named as in the archive, and what they hold."""
    target = folder / cifar.folder
    target.mkdir(parents=True)
    content = {}
    for name, count in {**cifar.train, **cifar.test}.items():
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = {
            key: rng.integers(0, classes, count).tolist() for key, classes in LABELS[cifar.short].items()
        }
        (target / name).write_bytes(batch(pixels, **labels))
        content[name] = pixels, labels
    return content


def write_archive(path, folder):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)


def expected(cifar, content, key):
    return [
        (np.concatenate([content[n][0] for n in names]).reshape(-1, 3, 32, 32),
         np.concatenate([content[n][1][key] for n in names]).reshape(-1, 1))
        for names in (cifar.train, cifar.test)
    ]  # fmt: skip


@pytest.mark.parametrize("data_format", config.LAYOUTS)
@pytest.mark.parametrize(
    ("load", "name", "key", "dtype"),
    [
        (cifar10.load_data, "CIFAR10", "labels", "uint8"),
        (cifar100.load_data, "CIFAR100", "fine_labels", "int64"),
        (lambda: cifar100.load_data("coarse"), "CIFAR100", "coarse_labels", "int64"),
    ],
)
def test_cifar(data, load, name, key, dtype, data_format):
    cifar = getattr(cifar10 if name == "CIFAR10" else cifar100, name)
    content = write_cifar(data, cifar)
    config.set_image_data_format(data_format)
    try:
        loaded = load()
    finally:
        config.set_image_data_format("channels_last")
    for (x, y), (x_expected, y_expected) in zip(loaded, expected(cifar, content, key)):
        assert x.dtype == np.uint8 and y.dtype == dtype and x.flags.c_contiguous
        x_first = x if data_format == "channels_first" else x.transpose(0, 3, 1, 2)
        assert np.array_equal(x_first, x_expected) and np.array_equal(y, y_expected)


@pytest.mark.parametrize(
    "place", ["cifar-10-python.tar.gz", "cifar-10-batches-py.tar.gz", "cifar10/cifar-10-python.tar.gz"]
)
def test_cifar_from_an_archive(data, tmp_path, place):
    content = write_cifar(tmp_path, cifar10.CIFAR10)
    write_archive(data / place, tmp_path / "cifar-10-batches-py")
    (x, _), _ = cifar10.load_data()
    assert np.array_equal(x, expected(cifar10.CIFAR10, content, "labels")[0][0].transpose(0, 2, 3, 1))


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py-target_archive"])
def test_cifar_from_the_reference_cache(tmp_path, monkeypatch, name):
    write_cifar(tmp_path, cifar10.CIFAR10)
    path = tmp_path / "user/.keras/datasets" / name
    write_archive(path, tmp_path / "cifar-10-batches-py")
    file = replace(cifar10.CIFAR10.file, sha256=sha256(path))
    monkeypatch.setattr(cifar10, "CIFAR10", replace(cifar10.CIFAR10, file=file))
    assert cifar10.load_data()[1][0].shape == (10, 32, 32, 3)


def test_cifar_incomplete(data):
    write_cifar(data, cifar10.CIFAR10)
    (data / "cifar-10-batches-py/data_batch_3").unlink()
    with pytest.raises(DataUnavailableError, match="data_batch_3"):
        cifar10.load_data()


def test_cifar_broken_archive(data, tmp_path):
    write_cifar(tmp_path, cifar10.CIFAR10)
    path = data / "cifar-10-python.tar.gz"
    write_archive(path, tmp_path / "cifar-10-batches-py")
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:5000] + bytes(50) + whole[5050:]):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=path.name):
            cifar10.load_data()


class Gadget:
    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        pickle.dumps(Gadget()),
        pickle.dumps({b"data": Gadget()}, protocol=2),
        pickle.dumps([1, 2]),
        pickle.dumps({b"data": np.zeros((10, 3072), np.uint8)}, protocol=4),
        batch(np.zeros((9, 3072), np.uint8), labels=[0] * 9),
        batch(np.zeros((10, 3072), np.uint8), labels=[0] * 9),
        batch(np.zeros((10, 3072), np.uint8), labels=[10] * 10),
        batch(np.zeros((10, 3072), np.uint8), labels=["a"] * 10),
        batch(np.zeros((10, 3072), np.uint8), other=[0] * 10),
        batch(np.zeros((10, 3072), np.float32), labels=[0] * 10),
        batch(np.zeros((10, 3072), np.uint8), labels=[0] * 10)[:-2000],
    ],
)
def test_cifar_broken_batch(data, monkeypatch, content):
    monkeypatch.chdir(data)
    write_cifar(data, cifar10.CIFAR10)
    path = data / "cifar-10-batches-py/test_batch"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="test_batch"):
        cifar10.load_data()
    assert not (data / "executed").exists()


@pytest.mark.parametrize(
    "name", ["os system", "builtins eval", "numpy load", "numpy.core.multiarray frombuffer", "_codecs encode"]
)
def test_batches_name_nothing_else(name):
    module, function = name.split()
    with pytest.raises(pickle.UnpicklingError, match="no place"):
        BatchReader(io.BytesIO(f"c{module}\n{function}\n.".encode())).load()


def test_cifar100_refuses_modes():
    with pytest.raises(ValueError, match="label_mode"):
        cifar100.load_data("medium")


# Digits


def test_digits():
    pytest.importorskip("sklearn")
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1501, 28, 28) and x_test.shape == (296, 28, 28)
    assert y_train.shape == (1501,) and y_test.shape == (296,)
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype("uint8")}
    assert min(np.bincount(y_test)) >= 29 and min(np.bincount(y_train)) >= 145
    x = np.concatenate([x_train, x_test])
    rows, columns = x.any(2), x.any(1)
    for lines in (rows, columns):  # fits 20 pixels, and most fill them one way
        extent = 28 - lines.argmax(1) - lines[:, ::-1].argmax(1)
        assert extent.max() <= 20
    positions = np.arange(28)
    mass = x.sum((1, 2), dtype=float)
    for axis in (1, 2):
        centre = (x.sum(3 - axis) * positions).sum(1) / mass
        assert np.all(abs(centre - 14) <= 0.51)
    assert abs(x.mean() - 33.3) < 0.5 and x.max() == 255  # MNIST: 33.3
    assert len(np.unique(x.reshape(len(x), -1), axis=0)) == len(x)
    assert np.array_equal(digits.load_data()[0][0], x_train)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"triceras\[apps\]"):
        digits.load_data()


# Real files

REAL = Path(os.environ.get("TRICERAS_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


@pytest.mark.parametrize(
    ("module", "place", "first"),
    [(mnist, "mnist.npz", [5, 0, 4, 1, 9]), (fashion_mnist, "fashion_mnist", [9, 0, 0, 3, 0])],
)
def test_real_files(monkeypatch, module, place, first):
    if not (REAL / place).exists():
        pytest.skip(f"{REAL / place} is not there")
    monkeypatch.undo()
    monkeypatch.setenv("TRICERAS_DATA", str(REAL))
    (x_train, y_train), (x_test, y_test) = module.load_data()
    assert x_train.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    assert y_train[:5].tolist() == first and np.all(np.bincount(y_test) > 800)


def test_importing_loads_no_engine_and_no_optional_library():
    code = (
        "import sys; import triceras.datasets.cifar10, triceras.datasets.digits, triceras.datasets.mnist; "
        "import triceras.utils.arrays, triceras.utils.files, triceras.utils.images; "
        "print({'jax', 'torch', 'tensorflow', 'sklearn', 'scipy', 'PIL', 'rich', 'h5py'} & set(sys.modules))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
