"""Saves that fail: the old file survives, and nothing is left behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras
from triceras import saving
from triceras.core.errors import ArgumentError
from triceras.saving import atomic, store
from triceras.saving.atomic import SaveError


@pytest.fixture(autouse=True)
def numpy_engine() -> Any:
    with triceras.use_engine("numpy"):
        yield


def model(units: int = 3) -> Any:
    return triceras.Sequential([triceras.Input((4,)), triceras.layers.Dense(units)])


SAVES = {
    "m.keras": lambda m, path: m.save(path),
    "m.weights.h5": lambda m, path: m.save_weights(path),
    "m.weights.json": lambda m, path: m.save_weights(path, max_shard_size=1),
    "folder": lambda m, path: m.save(path, zipped=False),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def failing(error: BaseException, after: Any = None) -> Any:
    def write(*args: Any, **kwargs: Any) -> Any:
        if after is not None:
            after(*args, **kwargs)
        raise error

    return write


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()], ids=repr
)
@pytest.mark.parametrize(
    ("owner", "name"),
    [(store.Group, "__setitem__"), (os, "fsync"), (os, "replace"), (os, "chmod"), (store.h5py.File, "close")],
    ids=lambda x: getattr(x, "__name__", x),
)
@pytest.mark.parametrize("kind", SAVES)
def test_errors_while_writing(
    tmp_path: Path, monkeypatch: Any, kind: str, owner: Any, name: str, error: Any
) -> None:
    path = tmp_path / kind
    SAVES[kind](model(), path)
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing(error, store.h5py.File.close if name == "close" else None))
        with pytest.raises(SaveError if isinstance(error, OSError) else type(error)) as found:
            SAVES[kind](model(5), path)
    if isinstance(error, OSError):
        assert "No space left" in str(found.value) and kind.partition(".")[0] in str(found.value)
    assert contents(tmp_path) == before


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import triceras
triceras.use_engine("numpy").__enter__()
model = triceras.Sequential([triceras.Input((300,)), triceras.layers.Dense(300)])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    getattr(model, sys.argv[1])(sys.argv[2])
except OSError as error:
    assert "unchanged" in str(error), error
    print("refused")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of file sizes are a Unix feature")
@pytest.mark.parametrize(("method", "name"), [("save", "m.keras"), ("save_weights", "m.weights.h5")])
def test_full_disk(tmp_path: Path, method: str, name: str) -> None:
    """The system itself refuses to write more."""
    path = tmp_path / name
    getattr(model(), method)(path)
    before = contents(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LIMITED, method, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.stdout.strip() == "refused", done.stderr[-2000:]
    assert contents(tmp_path) == before


def test_folders(tmp_path: Path, monkeypatch: Any) -> None:
    model().save(tmp_path / "new" / "folder" / "m.keras")
    monkeypatch.chdir(tmp_path)
    model().save("relative.keras")
    model().save_weights("relative.weights.h5")
    assert saving.load_model("relative.keras").count_params() == 15
    (tmp_path / "taken.keras").mkdir()
    with pytest.raises(SaveError, match="taken"):
        model().save("taken.keras")
    (tmp_path / "file").write_text("x")
    with pytest.raises(SaveError, match="file"):
        model().save("file/m.keras")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "file", "new", "relative.keras", "relative.weights.h5", "taken.keras",
    ]  # fmt: skip


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SaveError, match="Permission"):
        model().save(tmp_path / "m.keras")
    tmp_path.chmod(0o700)


def test_refused_folder(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(atomic.tempfile, "mkstemp", failing(PermissionError(13, "Permission denied")))
    with pytest.raises(SaveError, match="Permission denied"):
        model().save(tmp_path / "m.keras")


@pytest.mark.skipif(os.name != "posix", reason="modes of files are a Unix feature")
def test_mode_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    model().save(path)
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    path.chmod(0o640)
    model().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_overwrite(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "m.keras"
    model().save(path)
    with pytest.raises(ArgumentError, match="overwrite=True"):
        model().save(path, overwrite=False)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)})())
    before = path.read_bytes()
    monkeypatch.setattr("builtins.input", lambda text: "n")
    model(5).save(path, overwrite=False)
    assert path.read_bytes() == before
    monkeypatch.setattr("builtins.input", lambda text: "y")
    model(5).save(path, overwrite=False)
    assert saving.load_model(path).count_params() == 25


@pytest.mark.parametrize("path", ["m", "m.h5", "m.tf", "m.keras.txt"])
def test_endings(tmp_path: Path, path: str) -> None:
    for save in (model().save, model().save_weights):
        with pytest.raises(ArgumentError, match="end in"):
            save(tmp_path / path)
    with pytest.raises(ArgumentError, match="end in"):
        model().save(tmp_path / "m.keras", zipped=False)
    assert not list(tmp_path.iterdir())


def test_names_never_become_paths(tmp_path: Path) -> None:
    """Groups in weights files are named after attributes and classes."""
    net = triceras.Sequential([triceras.Input((4,)), triceras.layers.Dense(2, name="..")])
    net.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(
        saving.load_model(tmp_path / "m.keras").get_weights()[0], net.get_weights()[0]
    )
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]
