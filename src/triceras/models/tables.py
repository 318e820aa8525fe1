"""Tables for reports, in the terminal's width."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence


def rendered(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], footer: str = "") -> str:
    """A table as text. Columns whose name ends with ">" are aligned to the right.

    >>> print(rendered("Sizes", ["name", "size >"], [["a", "3"]], "1 row"))  # doctest: +NORMALIZE_WHITESPACE
    Sizes
    name   size
    ───────────
    a         3
    1 row
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = max(80, shutil.get_terminal_size((100, 24)).columns)
    console = Console(file=io.StringIO(), width=width, color_system=None)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        right = column.endswith(">")
        table.add_column(
            column.rstrip(" >"), justify="right" if right else "left", overflow="fold", no_wrap=right
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(Text(title))
    console.print(table)
    if footer:
        console.print(Text(footer))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
