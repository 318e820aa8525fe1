"""The studio: a page in the browser to draw, look inside networks, train them and compare runs."""

from __future__ import annotations

import socket
import threading
import webbrowser
from pathlib import Path
from typing import Any

import typer

import triceras as keras
from triceras.core.errors import ArgumentError, require


def serve(
    host: str, port: int, browser: bool, runs: Path, model: Path | None = None, engine: str | None = None
) -> None:
    """Serve the page until Ctrl+C.

    Args:
        host: the address; others than 127.0.0.1 can be reached from other machines.
        port: 0 takes a free one.
        browser: whether to open the page.
        runs: the runs folder; made when the first training starts.
        model: a model file to offer beside those of the runs.
        engine: where models answer; the active one if not given.

    Raises:
        ArgumentError: the address, the port or the model can't be used.
    """
    for module in ("starlette", "uvicorn"):
        require(module, "apps", "The studio")
    require("PIL", "vision", "The studio")
    import uvicorn

    from triceras.apps.studio.guard import is_local
    from triceras.apps.studio.server import Studio

    if model is not None and not model.is_file():
        raise ArgumentError(f"--model: there is no file '{model}'.")
    if runs.exists() and not runs.is_dir():
        raise ArgumentError(f"--runs: '{runs}' is a file, not a folder.")
    if engine is not None:
        keras.use_engine(engine)
    listener = _listener(host, port)
    studio = Studio(runs, model)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
    if not is_local(host):
        address += f"?token={studio.token}"
        typer.secho("Anyone who knows this address can train on this machine:", fg="yellow")
    typer.echo(f"Triceras Studio: {address}\nCtrl+C ends it.")
    config = uvicorn.Config(
        studio.app(host),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    if browser:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    try:
        server.run([listener])
    except KeyboardInterrupt:
        pass
    finally:
        studio.jobs.close()
        typer.echo("The studio is closed.")


def _listener(host: str, port: int) -> Any:
    """A bound socket, so that a taken port is told at once."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen()  # who comes before the server runs waits
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ArgumentError(
            f"The studio can't be served at {host}:{port}: {error.strerror or error}. "
            "Choose another --port or --host."
        ) from error
    return listener
