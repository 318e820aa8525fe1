"""Files from the network: complete, checked and moved into place in one step, or not there at all."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import logging
import lzma
import os
import shutil
import stat
import sys
import tarfile
import urllib.parse
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import urlopen

from triceras.core import config
from triceras.core.errors import ArgumentError, DataUnavailableError, FileFormatError
from triceras.core.registry import export

TIMEOUT = 20.0  # seconds without an answer or a further byte
CHUNK = 1 << 17
HASH_LENGTHS = {"md5": 32, "sha256": 64}  # in hexadecimal digits
ARCHIVE_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".zip")
BROKEN_ARCHIVE = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError,
    RuntimeError, NotImplementedError,  # zipfile's for encrypted members and unknown compressions
)  # fmt: skip

log = logging.getLogger("triceras")


@export("utils.get_file")
def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Iterable[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file from the network, downloaded unless it is in the cache already.

    Args:
        fname: name in the cache; by default the last part of `origin`.
        origin: the URL.
        untar: the same as `extract` with `archive_format="tar"`.
        md5_hash: the same as `file_hash` with `hash_algorithm="md5"`.
        file_hash: expected hash in hexadecimal; a cached file with another one is downloaded again.
        cache_subdir: folder below `cache_dir`, or an absolute one.
        hash_algorithm: "md5", "sha256" or "auto" (by the length of `file_hash`).
        extract: unpack the archive and return its folder. Only regular files below that folder are accepted.
        archive_format: "tar", "zip", several of these, or "auto" for both.
        cache_dir: by default `TRICERAS_HOME`, then `KERAS_HOME`, then `~/.triceras`.
        force_download: download even if the file is in the cache.

    Raises:
        DataUnavailableError: if the download fails; an `OSError`.
        FileFormatError: if the hash differs, or the archive is broken or unsafe; a `ValueError`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = pathlib.Path(folder, "page.txt")
    ...     _ = page.write_text("hello")
    ...     pathlib.Path(get_file(origin=page.as_uri(), cache_dir=folder)).read_text()
    'hello'
    """
    if not origin:
        raise ArgumentError("get_file() needs `origin`, the URL of the file.")
    name = _cache_name(fname, origin)
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    algorithm = _algorithm(hash_algorithm, file_hash)
    formats = _formats("tar" if untar and not extract else archive_format)

    folder = Path(cache_dir or config.home()).expanduser() / cache_subdir
    target = archive = folder / name
    if extract or untar:
        # One name can't be both the archive and its folder: the one that wasn't asked for gets an ending.
        suffix = next((s for s in ARCHIVE_SUFFIXES if name.endswith(s)), "")
        if suffix and fname:
            target = folder / (name.removesuffix(suffix) + "_extracted")
        else:
            archive = folder / (name + "_archive")

    fresh = force_download or not archive.is_file()
    if not fresh and file_hash and not has_hash(archive, file_hash, algorithm):
        log.warning("%s differs from the expected %s hash and is downloaded again.", archive, algorithm)
        fresh = True
    if fresh:
        fetch(origin, archive, file_hash=file_hash, algorithm=algorithm)
    if target != archive and (fresh or not target.exists()):
        extract_archive(archive, target, formats)
    return str(target)


def fetch(
    url: str,
    path: Path,
    *,
    file_hash: str | None = None,
    algorithm: str = "sha256",
    timeout: float | None = None,
) -> None:
    """Download `url` to `path`, replacing it only when everything is there and the hash is right.

    Raises:
        DataUnavailableError: no network, no such page, a broken or silent connection.
        FileFormatError: what came has another hash.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        with open(part, "xb") as out, _shown_progress(path.name, url) as advance:
            for chunk, total in _chunks(url, TIMEOUT if timeout is None else timeout):
                out.write(chunk)
                advance(len(chunk), total)
        if file_hash and not has_hash(part, file_hash, algorithm):
            raise FileFormatError(
                f"What came from {url} isn't the expected file: its {algorithm} hash is "
                f"{hash_of(part, algorithm)}, expected {file_hash}. Try again, or correct the hash."
            )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def has_hash(path: Path, file_hash: str, algorithm: str = "sha256") -> bool:
    """Whether a file has the given hash."""
    return hash_of(path, algorithm) == file_hash.lower()


def hash_of(path: Path, algorithm: str = "sha256") -> str:
    """A file's hash in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def extract_archive(archive: Path, folder: Path, formats: Iterable[str] = ("tar", "zip")) -> None:
    """Unpack an archive to `folder`, replacing it only when everything is unpacked.

    Raises:
        FileFormatError: no archive of these formats, broken, or with a member that isn't a plain file in
            `folder`.
    """
    members = next((READERS[name][1] for name in formats if READERS[name][0](archive)), None)
    if members is None:
        raise FileFormatError(
            f"{archive} can't be extracted: it is no archive of a format in {tuple(formats)}."
        )
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(
            f"{archive} can't be extracted to {folder}: a file is in the way. Pass another `fname`."
        )
    fresh = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}.part")
    fresh.mkdir(parents=True)
    try:
        try:
            for name, opened in members(archive):
                _write_member(archive, fresh, name, opened)
        except BROKEN_ARCHIVE as error:
            raise FileFormatError(
                f"{archive} is a broken archive: {error}. Delete it and try again."
            ) from error
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write_member(archive: Path, folder: Path, name: str, opened: Callable[[], IO[bytes]] | None) -> None:
    # The folder is new and never holds links, so that comparing resolved paths is enough.
    path = (folder / name).resolve()
    if opened is None or not path.is_relative_to(folder.resolve()) or (path.exists() and not path.is_file()):
        raise FileFormatError(
            f"{archive} isn't extracted: its member {name!r} is a link, a special file or outside. "
            "If you trust the archive, unpack it yourself."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened() as source, open(path, "wb") as out:
        shutil.copyfileobj(source, out, CHUNK)


def tar_members(path: Path) -> Iterator[tuple[str, Callable[[], IO[bytes]] | None]]:
    """Each member but folders: its name, and what opens it (None for what isn't a regular file)."""
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.isdir():
                yield member.name, (lambda m=member: archive.extractfile(m)) if member.isreg() else None
        while archive.fileobj.read(CHUNK):  # to the end, where a compressed file's checksum is compared
            pass


def _zip_members(path: Path) -> Iterator[tuple[str, Callable[[], IO[bytes]] | None]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if not member.is_dir():
                yield (
                    member.filename,
                    (lambda m=member: archive.open(m)) if kind in (0, stat.S_IFREG) else None,
                )


READERS = {"tar": (tarfile.is_tarfile, tar_members), "zip": (zipfile.is_zipfile, _zip_members)}


def _chunks(url: str, timeout: float) -> Iterator[tuple[bytes, int | None]]:
    """What `url` holds, piece by piece, each with the whole size (None if unknown)."""
    received, total = 0, None
    try:
        with urlopen(url, timeout=timeout) as response:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            while chunk := response.read(CHUNK):
                received += len(chunk)
                yield chunk, total
    except HTTPError as error:
        error.close()  # it is the open answer, too
        raise DataUnavailableError(f"{url} can't be downloaded: {error}.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        silent = isinstance(cause, TimeoutError)
        reason = f"nothing came for {timeout:g} seconds" if silent else str(cause) or type(cause).__name__
        raise DataUnavailableError(f"{url} can't be downloaded: {reason}.") from error
    if total is not None and received != total:
        raise DataUnavailableError(
            f"{url} can't be downloaded: the connection ended after {received} of {total} bytes."
        )


@contextmanager
def _shown_progress(name: str, url: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on a terminal, else one line; a message in the log when interactive logging is off."""
    from rich.console import Console

    console = Console(stderr=True)
    if config.is_interactive_logging_enabled() and console.is_terminal:
        from rich import progress

        columns = (
            progress.TextColumn("{task.description}"), progress.BarColumn(), progress.DownloadColumn(),
            progress.TransferSpeedColumn(), progress.TimeRemainingColumn(),
        )  # fmt: skip
        with progress.Progress(*columns, console=console) as bar:
            task = bar.add_task(name, total=None)
            yield lambda count, total: bar.update(task, advance=count, total=total)
        return
    message = f"Downloading {name} from {url}"
    if config.is_interactive_logging_enabled():
        print(message, file=sys.stderr)
    else:
        log.info(message)
    yield lambda count, total: None


def _cache_name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    path = urllib.parse.unquote(urllib.parse.urlsplit(origin).path)
    name = os.fspath(fname) if fname else os.path.basename(path)
    if fname and (name in (".", "..") or os.path.basename(name) != name):
        raise ArgumentError(
            f"get_file() takes a plain file name as `fname`; `cache_dir` and `cache_subdir` say where. "
            f"Received: {name!r}"
        )
    if name in ("", ".", ".."):
        raise ArgumentError(f"get_file() can't tell a file name from {origin!r}; pass `fname`.")
    return name


def _algorithm(algorithm: str, file_hash: str | None) -> str:
    if algorithm not in ("auto", *HASH_LENGTHS):
        raise ArgumentError(f'`hash_algorithm` must be "auto", "md5" or "sha256". Received: {algorithm!r}')
    if file_hash is None:
        return "sha256"
    fitting = [
        name
        for name, length in HASH_LENGTHS.items()
        if length == len(file_hash) and algorithm in ("auto", name)
    ]
    if not fitting:
        expected = " or ".join(f"{HASH_LENGTHS[n]} ({n})" for n in HASH_LENGTHS if algorithm in ("auto", n))
        raise ArgumentError(f"`file_hash` must have {expected} hexadecimal digits. Received: {file_hash!r}")
    return fitting[0]


def _formats(archive_format: str | Iterable[str] | None) -> tuple[str, ...]:
    if archive_format == "auto":
        return tuple(READERS)
    formats = (archive_format,) if isinstance(archive_format, str) else tuple(archive_format or ())
    if unknown := [name for name in formats if name not in READERS]:
        raise ArgumentError(
            f'`archive_format` must be "auto", "tar", "zip" or a list of these. Received: {unknown[0]!r}'
        )
    return formats
