"""What layers keep in files of their own, such as vocabularies: a folder for each layer below `assets/`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from triceras.core.errors import FileFormatError, TricerasError
from triceras.saving.walk import saveables

ASSETS = "assets"


def write_assets(model: Any) -> Iterator[tuple[str, bytes]]:
    """The files of all layers that have such: names below the root of a model file, and contents."""
    for place, item in saveables(model):
        if hasattr(item, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:
                item.save_assets(folder)
                for path in sorted(Path(folder).rglob("*")):
                    if path.is_file():
                        parts = (ASSETS, place, path.relative_to(folder).as_posix())
                        yield "/".join(filter(None, parts)), path.read_bytes()


def read_assets(model: Any, names: list[str], content: Callable[[str], bytes]) -> None:
    """Give layers their files.

    Args:
        names: of the files, as `write_assets` gave them, each checked to stay below its folder.
        content: reads one.

    Raises:
        FileFormatError: a file isn't what its layer expects.
    """
    for place, item in saveables(model):
        if not hasattr(item, "load_assets"):
            continue
        root = "/".join(filter(None, (ASSETS, place))) + "/"
        own = [name for name in names if name.startswith(root) and "/" not in name[len(root) :]]
        if not own:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for name in own:
                Path(folder, name[len(root) :]).write_bytes(content(name))
            try:
                item.load_assets(folder)
            except TricerasError:
                raise
            except (OSError, ValueError, TypeError) as error:
                raise FileFormatError(f"The files of layer {place!r} can't be used: {error}") from error
