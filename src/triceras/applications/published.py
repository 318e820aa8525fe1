"""Files that the reference publishes for its networks: from a cache, else downloaded there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from triceras.core import config
from triceras.core.errors import DataUnavailableError, FileFormatError
from triceras.utils.files import get_file, has_hash

SUBFOLDER = "models"
ROOT = "https://storage.googleapis.com/tensorflow/keras-applications/"


@dataclass(frozen=True)
class Published:
    """Weights of one network, with and without its classifier.

    Args:
        url: of the file with the classifier.
        bare_url: of the file without.
        hashes: of both, MD5 or SHA-256, where they are known.
        names: of both in the cache, where they aren't the last parts of the URLs.
    """

    url: str
    bare_url: str
    hashes: tuple[str, str] | None = None
    names: tuple[str, str] | None = None

    def obtain(self, include_top: bool) -> Path:
        """The path of the file.

        Raises:
            DataUnavailableError: it is in no cache and can't be downloaded.
        """
        url, which = (self.url, 0) if include_top else (self.bare_url, 1)
        name = self.names[which] if self.names else url.rpartition("/")[2]
        file_hash = self.hashes and self.hashes[which]
        return obtain(name, url, file_hash, 'pass its path: weights="FOLDER/FILE.h5"')


def kernels(folder: str, name: str, hashes: tuple[str, str]) -> Published:
    """The files of a network whose names follow the reference's usual pattern."""
    url = f"{ROOT}{folder}/{name}_weights_tf_dim_ordering_tf_kernels"
    return Published(f"{url}.h5", f"{url}_notop.h5", hashes)


def cached(name: str) -> list[Path]:
    """Where a file of this name may lie: in our cache, in the reference's."""
    folders = dict.fromkeys([config.home(), Path.home() / ".keras"])
    return [folder / SUBFOLDER / name for folder in folders]


def obtain(name: str, url: str, file_hash: str | None, otherwise: str) -> Path:
    """The path of a published file.

    Args:
        name: its name in a cache.
        url: where it is published.
        file_hash: a cached file with another one isn't taken.
        otherwise: what else the user can do, for the message.

    Raises:
        DataUnavailableError: it is in no cache and can't be downloaded.
    """
    algorithm = "sha256" if file_hash and len(file_hash) == 64 else "md5"
    for path in cached(name):
        if path.is_file() and (file_hash is None or has_hash(path, file_hash, algorithm)):
            return path
    try:
        return Path(get_file(name, url, cache_subdir=SUBFOLDER, file_hash=file_hash))
    except (OSError, FileFormatError) as error:
        places = "\n".join(f"  {path}{' (damaged: another hash)' * path.exists()}" for path in cached(name))
        raise DataUnavailableError(
            f"{name} is needed, isn't cached, and can't be had from the network. {error}\n"
            f"Download {url}\nelsewhere, and put it in one of these places\n{places}\nor {otherwise}."
        ) from error
