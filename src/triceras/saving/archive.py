"""`.keras` files: a zip of config, metadata and weights, as Keras 3 writes them."""

from __future__ import annotations

import datetime
import json
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError, TricerasError
from triceras.core.registry import export
from triceras.saving.assets import ASSETS, read_assets, write_assets
from triceras.saving.atomic import replacing
from triceras.saving.legacy import read_config, read_legacy_weights, read_optimizer
from triceras.saving.objects import (
    CustomObjectScope,
    ObjectSharing,
    deserialize_keras_object,
    serialize_keras_object,
)
from triceras.saving.store import Reader
from triceras.saving.weights import existing, may_write, read_weights, write_weights
from triceras.variable import room
from triceras.version import __version__

FORMAT_VERSION = "3.15.1"  # of the reference, whose format this is
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST_JSON = 128 << 20
MOST_RATIO = 100
SPARE_NUMBERS = 1 << 24  # that a model may hold beyond five times (for optimizers) those in its file


@export("saving.save_model", "models.save_model")
def save_model(
    model: Any, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
) -> None:
    """Save a model's architecture, weights and training setup.

    Args:
        model: a model.
        filepath: a path that ends in `.keras`, or a folder with `zipped=False`.
        overwrite: replace an existing file; False asks on a terminal and is an error elsewhere.
        zipped: False writes a folder of the file's parts.
        **kwargs: `include_optimizer=False` leaves the training setup out.

    Raises:
        ArgumentError: another ending, or a part of the model that can't be saved.
        SaveError: the file couldn't be written; the old one survives.

    >>> import tempfile
    >>> from triceras import Sequential, layers
    >>> path = tempfile.mkdtemp() + "/small.keras"
    >>> save_model(Sequential([layers.Input(shape=(2,)), layers.Dense(3)]), path)
    >>> load_model(path).output_shape
    (None, 3)
    """
    include_optimizer = kwargs.pop("include_optimizer", True)
    kwargs.pop("save_format", None)
    if kwargs:
        raise ArgumentTypeError(f"save_model() got unknown arguments: {sorted(kwargs)}")
    path = Path(filepath)
    if (path.suffix == ".keras") is (zipped is False):
        raise ArgumentError(
            "save_model() writes files that end in .keras, and folders that don't with zipped=False. "
            f"Received: {str(filepath)!r}. For weights alone use save_weights('name.weights.h5')."
        )
    if not may_write(path, overwrite):
        return
    with ObjectSharing():
        config = serialize_keras_object(model)
    if not include_optimizer:
        config.pop("compile_config", None)
    skipped = () if include_optimizer else (model.optimizer,)
    metadata = {
        "keras_version": FORMAT_VERSION,
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        "triceras_version": __version__,
    }
    texts = {METADATA: _json(metadata), CONFIG: _json(config)}
    with ExitStack() as stack:  # all parts take their places at its end
        if zipped is False:
            parts = {name: stack.enter_context(replacing(path / name)) for name in (*texts, WEIGHTS)}
            for name, text in texts.items():
                parts[name].write(text.encode())
            write_weights(model, parts[WEIGHTS], skipped)
            for name, content in write_assets(model):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(replacing(path / name)).write(content)
            return
        file = stack.enter_context(replacing(path))
        weights = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
        write_weights(model, weights, skipped)
        weights.seek(0)
        with zipfile.ZipFile(file, "w") as archive:
            for name, text in texts.items():
                archive.writestr(name, text)
            for name, content in write_assets(model):
                archive.writestr(name, content)
            with archive.open(WEIGHTS, "w", force_zip64=True) as member:
                shutil.copyfileobj(weights, member, 1 << 20)


def _json(config: Any) -> str:
    try:
        return json.dumps(config)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"The model's config holds something that a file can't: {error}") from error


@export("saving.load_model", "models.load_model")
def load_model(
    filepath: str | Path,
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Load a model that `save_model` (or Keras 3) wrote. Nothing in the file is ever executed.

    Args:
        filepath: a `.keras` file, the folder that `zipped=False` wrote, or a model in the older `.h5` format.
        custom_objects: classes and functions of yours that the file names.
        compile: also restore optimizer, loss and metrics.
        safe_mode: accepted for compatibility; loading is always safe, and False changes nothing.

    Raises:
        FileNotFoundError: there is no such file.
        FileFormatError: the file is damaged, of another kind, or unsafe.
        NotFoundError: the file names a class or function that isn't known.
    """
    path = existing(filepath)
    legacy = path.suffix in (".h5", ".hdf5")
    parts = (opened_legacy if legacy else opened)(path)
    with parts as (config, reader), room([5 * reader.numbers + SPARE_NUMBERS]):
        if not isinstance(config, dict) or "class_name" not in config:
            raise FileFormatError(f"{path} holds no model: its config isn't that of a model.")
        try:
            model = _rebuilt(config, custom_objects or {}, compile)
        except (TricerasError, MemoryError):
            raise
        except RecursionError as error:
            raise FileFormatError(f"{path} is refused: its config is nested too deeply.") from error
        except Exception as error:
            raise FileFormatError(f"{path} can't be rebuilt from its config: {error!r}") from error
        if not model.built and reader.arrays:
            raise FileFormatError(
                f"{path}: the model {model.name!r} can't be built from the file, for its input shape isn't "
                "saved. Give the class a `build` method or a `build_from_config`, or save the weights alone."
            )
        if legacy:
            read_legacy_weights(model, reader)
            read_optimizer(model, reader)
        else:
            read_weights(model, reader)
            _read_assets(model, path)
    return model


def _read_assets(model: Any, path: Path) -> None:
    """Give layers the files that were saved with them."""
    if path.is_dir():
        files = sorted(p for p in (path / ASSETS).rglob("*") if p.is_file() and not p.is_symlink())
        read_assets(
            model, [p.relative_to(path).as_posix() for p in files], lambda name: (path / name).read_bytes()
        )
        return
    with zipfile.ZipFile(path) as archive:
        _check(archive, path)
        names = [
            name for name in archive.namelist() if name.startswith(f"{ASSETS}/") and not name.endswith("/")
        ]
        read_assets(model, names, archive.read)


def _rebuilt(config: dict[str, Any], custom_objects: dict[str, Any], compile: bool) -> Any:
    setup = config.pop("compile_config", None)
    with ObjectSharing(), CustomObjectScope(custom_objects):
        model = deserialize_keras_object(config)
        if not (hasattr(model, "compile_from_config") or getattr(model, "saved_alone", False)):
            raise FileFormatError(f"The file holds no model but a {type(model).__name__}.")
        if compile and setup:
            model.compile_from_config(setup)
    return model


@contextmanager
def opened_legacy(path: Path) -> Iterator[tuple[Any, Reader]]:
    """The same of a model in the older HDF5 format."""
    with path.open("rb") as file, Reader(file, str(path)) as reader:
        yield read_config(reader), reader


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Reader]]:
    """The config and the weights of a saved model, both checked.

    Raises:
        FileFormatError: the file is damaged, of another kind, or unsafe.
    """
    with ExitStack() as stack:
        if path.is_dir():
            text = existing(path / CONFIG).read_bytes()
            weights = stack.enter_context(existing(path / WEIGHTS).open("rb"))
        else:
            weights = stack.enter_context(tempfile.TemporaryFile())
            text = _unpacked(path, weights)
        try:
            config = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FileFormatError(f"{CONFIG} in {path} is no valid JSON: {error}") from error
        yield config, stack.enter_context(Reader(weights, f"{WEIGHTS} in {path}"))


def _unpacked(path: Path, weights: IO[bytes]) -> bytes:
    """The config's text; the weights go into a file."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive, path)
            with archive.open(WEIGHTS) as member:
                shutil.copyfileobj(member, weights, 1 << 20)  # zipfile stops at the declared size
            return archive.read(CONFIG)
    except TricerasError:
        raise
    except (
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        struct.error,
        NotImplementedError,
        ValueError,
        OverflowError,
    ) as error:
        raise FileFormatError(f"{path} is no .keras file, or is truncated or damaged: {error}") from error


def _check(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse members that no model file has, and sizes that only a bomb has."""
    size = path.stat().st_size
    names = Counter(m.filename for m in archive.infolist())
    for member in archive.infolist():
        name = member.filename
        if name not in (CONFIG, METADATA, WEIGHTS) and not name.startswith(f"{ASSETS}/"):
            raise FileFormatError(f"{path} is refused: it holds {name!r}, which isn't part of a model file.")
        if ".." in name.split("/") or "\\" in name or names[name] > 1:
            raise FileFormatError(f"{path} is refused: its member {name!r} has an unsafe or repeated name.")
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileFormatError(
                f"{path} is refused: its member {name!r} is packed or encrypted in a way that isn't read."
            )
        largest = min(max(16 << 20, MOST_RATIO * size), LARGEST_JSON if name == CONFIG else 1 << 62)
        if member.file_size > largest:
            raise FileFormatError(f"{path} is refused: {name!r} would unpack to {member.file_size:,} bytes.")
    for name in (CONFIG, WEIGHTS):
        if name not in names:
            raise FileFormatError(f"{path} is no .keras file: it has no {name}.")
