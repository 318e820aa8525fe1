"""Sound data sets: files, labels, splits and samples as the reference's; bad files and folders are named."""

from __future__ import annotations

import struct
import wave

import numpy as np
import pytest

import triceras
from triceras import layers
from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError
from triceras.preprocessing.sounds import read_wav, resampled
from triceras.utils import audio_dataset_from_directory

LENGTHS = {"a": (30, 20, 25), "b": (10, 40), "c": (15,)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("sounds")
    random = np.random.default_rng(0)
    for name, lengths in LENGTHS.items():
        (root / name).mkdir()
        for i, length in enumerate(lengths):
            with wave.open(str(root / name / f"{i}.wav"), "wb") as file:
                file.setparams((2, 2, 8000, 0, "NONE", None))
                file.writeframes(random.integers(-(2**15), 2**15, (length, 2)).astype("<i2").tobytes())
    (root / "a" / "note.txt").write_text("no sound")
    return root


def ours(folder, **options):
    return audio_dataset_from_directory(str(folder), **{"verbose": False} | options)


def arrays(batches):
    return [[np.asarray(a) for a in (b if isinstance(b, tuple) else (b,))] for b in batches]


CASES = {
    "plain": {},
    "categorical": {"label_mode": "categorical", "batch_size": 4},
    "binary": {"label_mode": "binary", "class_names": ["b", "a"], "output_sequence_length": 22},
    "no labels": {"labels": None, "label_mode": None},
    "list": {"labels": [0, 1, 0, 2, 1, 0], "output_sequence_length": 50},
    "single": {"batch_size": None},
    "training": {"validation_split": 0.4, "subset": "training", "shuffle": True, "seed": 7},
    "both": {"validation_split": 0.4, "subset": "both", "seed": 3},
}


@pytest.mark.parametrize("name", CASES)
def test_beside_the_reference(folder, name, capsys):
    keras = pytest.importorskip("keras", reason="the reference isn't installed")
    pytest.importorskip("tensorflow")
    options = {"shuffle": False, "seed": 1} | CASES[name]
    said, found = [], []
    for make in (audio_dataset_from_directory, keras.utils.audio_dataset_from_directory):
        parts = make(str(folder), **options)
        said.append(capsys.readouterr().out)
        found.append(parts if isinstance(parts, tuple) else (parts,))
    assert said[0] == said[1]
    for mine, other in zip(*found, strict=True):
        assert mine.class_names == other.class_names
        if options["shuffle"]:  # each pass has an order of its own
            sums = [sorted(np.abs(x).sum((1, 2)).tolist()) for each in (mine, other) for x, _ in arrays(each)]
            np.testing.assert_allclose(*sums, rtol=1e-5)
            continue
        for a, b in zip(arrays(mine), arrays(other), strict=True):
            for x, y in zip(a, b, strict=True):
                assert x.dtype == y.dtype
                np.testing.assert_allclose(x, y, atol=1e-6)


def test_ragged(folder):
    x, y = ours(folder, ragged=True, shuffle=False)[0]
    assert [len(sound) for sound in x] == [30, 20, 25, 10, 40, 15] and len(y) == 6


def wav(kind: int, bits: int, data: bytes, channels: int = 1, extensible: bool = False) -> bytes:
    size = channels * bits // 8
    head = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, channels, 8000, 8000 * size, size, bits)
    if extensible:
        head += struct.pack("<HHIH14x", 22, bits, 0, kind)
    chunks = [(b"fmt ", head), (b"LIST", b"odd"), (b"data", data)]
    body = b"".join(n + struct.pack("<I", len(c)) + c + b"\0" * (len(c) % 2) for n, c in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("kind", "bits", "data"),
    [
        (1, 8, bytes([0, 128, 192])),
        (1, 16, np.array([-(2**15), 0, 2**14], "<i2").tobytes()),
        (1, 24, bytes([0, 0, 128, 0, 0, 0, 0, 0, 64])),
        (1, 32, np.array([-(2**31), 0, 2**30], "<i4").tobytes()),
        (3, 32, np.array([-1, 0, 0.5], "<f4").tobytes()),
        (3, 64, np.array([-1, 0, 0.5], "<f8").tobytes()),
    ],
)
def test_every_kind_of_samples(tmp_path, kind, bits, data, extensible):
    (tmp_path / "1.wav").write_bytes(wav(kind, bits, data, extensible=extensible))
    samples, rate = read_wav(str(tmp_path / "1.wav"))
    assert (samples.dtype, samples.ravel().tolist(), rate) == ("float32", [-1.0, 0.0, 0.5], 8000)


def test_broken_files_are_named(tmp_path):
    good = wav(1, 16, bytes(8), channels=2)
    bad = {"empty": b"", "other": b"RIFX" + good[4:], "short": good[:20], "law": wav(6, 8, bytes(3))}
    for name, contents in (bad | {"silent": good[:36]}).items():
        (tmp_path / "1.wav").write_bytes(contents)
        with pytest.raises(FileFormatError, match=r"1\.wav"):
            read_wav(str(tmp_path / "1.wav")), pytest.fail(name)
    (tmp_path / "1.wav").write_bytes(good[:-3])
    assert read_wav(str(tmp_path / "1.wav"))[0].shape == (1, 2)


def test_channels_must_agree(tmp_path):
    for channels in (1, 2):
        (tmp_path / f"{channels}.wav").write_bytes(wav(1, 16, bytes(8), channels))
    with pytest.raises(FileFormatError, match=r"1\.wav' has 1, .*2\.wav' has 2"):
        list(ours(tmp_path, labels=None, shuffle=False))


def test_sampling_rates(folder):
    pytest.importorskip("scipy")
    x, _ = ours(folder, sampling_rate=4000, shuffle=False)[0]
    assert x.shape == (6, 20, 2)
    tone = np.sin(np.arange(8000, dtype="float32") * (2 * np.pi * 100 / 8000))[:, None]
    expected = np.sin(np.arange(11025, dtype="float32") * (2 * np.pi * 100 / 11025))[:, None]
    np.testing.assert_allclose(resampled(tone, 8000, 11025)[99:-99], expected[99:-99], atol=2e-3)
    assert resampled(tone, 8000, 8000) is tone


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"label_mode": "x"}, ArgumentError, "label_mode"),
        ({"label_mode": "binary"}, ArgumentError, "2 classes"),
        ({"labels": [0]}, ArgumentError, "1 labels for 6 files"),
        ({"sampling_rate": 0}, ArgumentError, "sampling_rate"),
        ({"sampling_rate": 8e3}, ArgumentTypeError, "sampling_rate"),
        ({"output_sequence_length": -1}, ArgumentError, "output_sequence_length"),
        ({"output_sequence_length": 9, "ragged": True}, ArgumentError, "ragged"),
        ({"validation_split": 0.3, "subset": "training"}, ArgumentError, "seed"),
    ],
)
def test_bad_arguments(folder, options, error, match):
    with pytest.raises(error, match=match):
        ours(folder, **options)


def test_bad_folders(tmp_path):
    with pytest.raises(ArgumentError, match="No sounds found in"):
        ours(tmp_path)


def test_training(folder):
    data = ours(folder, output_sequence_length=64, batch_size=3, seed=1)
    model = triceras.Sequential(
        [
            layers.Input((64, 2)),
            layers.STFTSpectrogram(frame_length=16, trainable=False),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3),
        ]
    )
    model.compile("adam", triceras.losses.SparseCategoricalCrossentropy(from_logits=True))
    kernel = model.layers[0].get_weights()[0]
    history = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], kernel)
