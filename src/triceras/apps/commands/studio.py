"""`triceras studio`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def studio(
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where to serve. Others than 127.0.0.1 let other machines in."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 takes a free one.")] = 8760,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Don't open the page in a browser.")
    ] = False,
    runs: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where trainings are, and where new ones go.")
    ] = Path("runs"),
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A model to use beside those of the runs.", show_default=False),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Engine that models answer on.", show_default="the first one installed"
        ),
    ] = None,
) -> None:
    """Open a page to draw digits, look inside networks, train them and compare runs.

    The page is served by this command, works offline, and ends with Ctrl+C; trainings that run are then
    stopped so that they can go on later.
    """
    from triceras.apps.studio import serve

    serve(host, port, not no_browser, runs, model, engine)
