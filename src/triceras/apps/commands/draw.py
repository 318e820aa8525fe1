"""`triceras draw`."""

from __future__ import annotations

import typer

from triceras.apps.commands.using import CLASSES, ENGINE, MODEL, SCALE, opened


def draw(model: MODEL, engine: ENGINE = None, classes: CLASSES = None, scale: SCALE = None) -> None:
    """Draw a digit with the mouse and let a network read it.

    Opens a window. Enter reads what is drawn, and shows the digit, the probabilities and what the network
    saw; C clears; Esc leaves. Each reading is also printed.
    """
    from triceras.apps.draw import check_screen, run

    check_screen()  # before the model is loaded
    run(opened(model, engine, classes, scale), f"triceras draw {model.name}", typer.echo)
