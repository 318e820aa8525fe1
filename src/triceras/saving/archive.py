"""`.keras` files: a zip of config, metadata and weights, as Keras 3 writes them."""

from __future__ import annotations

import datetime
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError, TricerasError
from triceras.core.registry import export
from triceras.saving.atomic import replacing
from triceras.saving.objects import ObjectSharing, deserialize_keras_object, serialize_keras_object
from triceras.saving.store import Reader
from triceras.saving.weights import existing, may_write, read_weights, write_weights
from triceras.version import __version__

FORMAT_VERSION = "3.15.1"  # of the reference, whose format this is
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST_JSON = 128 << 20
MOST_RATIO = 100


@export("saving.save_model", "models.save_model")
def save_model(model: Any, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Save a model's architecture, weights and training setup.

    Args:
        model: a model.
        filepath: a path that ends in `.keras`, or a folder with `zipped=False`.
        overwrite: replace an existing file; False asks on a terminal and is an error elsewhere.
        zipped: write one file (the default) or a folder of its parts.
        **kwargs: `include_optimizer=False` leaves the training setup out.

    Raises:
        ArgumentError: another ending, or a part of the model that can't be saved.
        SaveError: the file couldn't be written; the old one survives.
    """
    include_optimizer = kwargs.pop("include_optimizer", True)
    kwargs.pop("save_format", None)
    if kwargs:
        raise ArgumentTypeError(f"save_model() got unknown arguments: {sorted(kwargs)}")
    path = Path(filepath)
    zipped = path.suffix == ".keras" or zipped is not False if zipped is None else zipped
    if zipped and path.suffix != ".keras":
        raise ArgumentError(
            f"save_model() writes files that end in .keras. Received: {str(filepath)!r}. For weights alone use "
            "save_weights('name.weights.h5')."
        )
    if not may_write(path, overwrite):
        return
    with ObjectSharing():
        config = serialize_keras_object(model)
    if not include_optimizer:
        config.pop("compile_config", None)
    texts = {
        METADATA: json.dumps(
            {
                "keras_version": FORMAT_VERSION,
                "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
                "triceras_version": __version__,
            }
        ),
        CONFIG: _json(config),
    }
    if not zipped:
        path.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with replacing(path / name) as file:
                file.write(text.encode())
        with replacing(path / WEIGHTS) as file:
            write_weights(model, file)
        return
    with replacing(path) as file, tempfile.TemporaryFile(dir=path.parent) as weights:
        write_weights(model, weights)
        weights.seek(0)
        with zipfile.ZipFile(file, "w") as archive:
            for name, text in texts.items():
                archive.writestr(name, text)
            with archive.open(WEIGHTS, "w", force_zip64=True) as member:
                shutil.copyfileobj(weights, member, 1 << 20)


def _json(config: Any) -> str:
    try:
        return json.dumps(config)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"The model's config holds something that a file can't: {error}") from error


@export("saving.load_model", "models.load_model")
def load_model(
    filepath: str | Path, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Load a model that `save_model` (or Keras 3) wrote. Nothing in the file is ever executed.

    Args:
        filepath: a `.keras` file, or the folder that `zipped=False` wrote.
        custom_objects: classes and functions of yours that the file names.
        compile: also restore optimizer, loss and metrics.
        safe_mode: accepted for compatibility; loading is always safe, and False changes nothing.

    Raises:
        FileNotFoundError: there is no such file.
        FileFormatError: the file is damaged, of another kind, or unsafe.
        NotFoundError: the file names a class or function that isn't known.
    """
    path = existing(filepath)
    if path.is_dir():
        config = _parsed((existing(path / CONFIG)).read_bytes(), f"{path / CONFIG}")
        with (path / WEIGHTS).open("rb") as file, Reader(file, str(path / WEIGHTS)) as reader:
            return _restored(config, reader, path, custom_objects, compile)
    if path.suffix in (".h5", ".hdf5"):
        raise FileFormatError(
            f"{path} is in the older HDF5 format. Open it with Keras 3 and save it as .keras, or load its weights alone "
            "from a .weights.h5 file."
        )
    with _archive(path) as archive:
        config = _parsed(_member(archive, CONFIG, path), f"{CONFIG} in {path}")
        with _weights(archive, path) as reader:
            return _restored(config, reader, path, custom_objects, compile)


def _restored(config: Any, reader: Reader, path: Path, custom_objects: Any, compile: bool) -> Any:
    if not isinstance(config, dict) or "class_name" not in config:
        raise FileFormatError(f"{path} holds no model: its config isn't that of a model.")
    setup = config.pop("compile_config", None)
    with ObjectSharing():
        model = deserialize_keras_object(config, custom_objects=custom_objects)
    from triceras.models.model import Model

    if not isinstance(model, Model):
        raise FileFormatError(f"{path} holds no model but a {type(model).__name__}.")
    if compile and setup:
        from triceras.saving.objects import CustomObjectScope

        with CustomObjectScope(custom_objects or {}):
            model.compile_from_config(setup)
    if not model.built and reader.arrays:
        raise FileFormatError(
            f"{path}: the model {model.name!r} can't be built from the file, for its input shape isn't saved. Give the class "
            "a `build` method or a `build_from_config`, or save the weights alone."
        )
    read_weights(model, reader)
    return model


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive, path)
            yield archive
    except TricerasError:
        raise
    except (zipfile.BadZipFile, EOFError, zipfile.zlib.error, NotImplementedError) as error:
        raise FileFormatError(f"{path} is no .keras file or is damaged: {error}") from error


def _check(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse members that no model file has, and sizes that only a bomb has."""
    size = path.stat().st_size
    names = [m.filename for m in archive.infolist()]
    for member in archive.infolist():
        name = member.filename
        if name not in (CONFIG, METADATA, WEIGHTS) and not name.startswith("assets/"):
            raise FileFormatError(f"{path} is refused: it holds {name!r}, which isn't part of a model file.")
        if ".." in name.split("/") or name.startswith("/") or "\\" in name or names.count(name) > 1:
            raise FileFormatError(f"{path} is refused: its member {name!r} has an unsafe or repeated name.")
        if member.flag_bits & 1:
            raise FileFormatError(f"{path} is encrypted; model files aren't.")
        if member.file_size > max(16 << 20, MOST_RATIO * size):
            raise FileFormatError(f"{path} is refused: {name!r} would unpack to {member.file_size:,} bytes.")
    for name in (CONFIG, WEIGHTS):
        if name not in names:
            raise FileFormatError(f"{path} is no .keras file: it has no {name}.")


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    if archive.getinfo(name).file_size > LARGEST_JSON:
        raise FileFormatError(f"{path} is refused: {name} is larger than any config.")
    return archive.read(name)


def _parsed(text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{what} is no valid JSON: {error}") from error


@contextmanager
def _weights(archive: zipfile.ZipFile, path: Path) -> Iterator[Reader]:
    expected = archive.getinfo(WEIGHTS).file_size
    with tempfile.TemporaryFile() as file:
        with archive.open(WEIGHTS) as member:
            _copy(member, file, expected, path)
        with Reader(file, f"{WEIGHTS} in {path}") as reader:
            yield reader


def _copy(source: IO[bytes], target: IO[bytes], expected: int, path: Path) -> None:
    copied = 0
    while block := source.read(1 << 20):
        copied += len(block)
        if copied > expected:
            raise FileFormatError(f"{path} is refused: {WEIGHTS} is larger than it declares.")
        target.write(block)
    target.seek(0, io.SEEK_SET)


@contextmanager
def opened_weights(path: Path) -> Iterator[Reader]:
    """The weights inside a `.keras` file."""
    with _archive(path) as archive, _weights(archive, path) as reader:
        yield reader
