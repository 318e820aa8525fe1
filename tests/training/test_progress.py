"""What the progress display writes, read back as a terminal would show it."""

from __future__ import annotations

import io
import logging
import re
import sys
import time

import numpy as np
import pytest

from triceras.core import config
from triceras.core.errors import ArgumentError
from triceras.training import progress
from triceras.training.callbacks import CallbackList, LambdaCallback
from triceras.training.progress import Progbar

LOGS = {"accuracy": 0.98125, "loss": 0.05}


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines as shown: without colours, with everything drawn over replaced."""
        lines = []
        for written in re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue()).split("\n"):
            shown: list[str] = []
            for part in written.split("\r"):
                shown[: len(part)] = part
            lines.append("".join(shown).rstrip())
        return lines

    def drawings(self) -> int:
        return len([part for part in re.split("[\r\n]", self.getvalue()) if part.strip()])


class AsciiTerminal(Terminal):
    encoding = "ascii"

    def write(self, text: str) -> int:
        text.encode("ascii")
        return super().write(text)


class Model:
    metrics = ()
    stop_training = False


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test has a screen without history and a known environment."""
    monkeypatch.setattr(progress, "_screen", progress._Screen())
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "PYCHARM_HOSTED", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def on(stream, monkeypatch):
    """Make a stream the standard output; not in a fixture, since pytest swaps its own in after those."""
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def always_due(monkeypatch):
    monkeypatch.setattr(progress, "LEAST_INTERVAL", 0.0)
    monkeypatch.setattr(progress, "BUDGET", float("inf"))
    monkeypatch.setattr(Progbar.__init__, "__defaults__", (20, 1, 1e-9, None, None, "step"))


def fit(epochs=2, steps=4, verbose="auto", validation=0, callbacks=None, known=True):
    told = CallbackList(
        callbacks,
        add_progbar=True,
        model=Model(),
        verbose=verbose,
        epochs=epochs,
        steps=steps if known else None,
    )
    told.on_train_begin()
    for epoch in range(epochs):
        told.on_epoch_begin(epoch)
        for step in range(steps):
            told.on_dispatch("train", step + 1, steps if known else None, lambda: LOGS)
        logs = dict(LOGS)
        if validation:
            told.on_test_begin()
            for step in range(validation):
                told.on_dispatch("test", step + 1, validation, lambda: {"loss": 9.0})
            told.on_test_end({"loss": 9.0})
            logs["val_loss"] = 9.0
        told.on_epoch_end(epoch, logs)
    told.on_train_end(logs)


FINAL = r"4/4 ━{20} \d+s \d+(us|ms|s)/step - accuracy: 0.9812 - loss: 0.0500"


def test_fit_on_a_terminal_keeps_two_lines_an_epoch(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    fit()
    first, line, second, again, end = terminal.screen()
    assert (first, second, end) == ("Epoch 1/2", "Epoch 2/2", "")
    assert re.fullmatch(FINAL, line) and re.fullmatch(FINAL, again)


def test_single_epoch_has_no_headline(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    fit(epochs=1)
    assert re.fullmatch(FINAL, terminal.screen()[0])


def test_live_line_shows_steps_and_metrics(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    always_due(monkeypatch)
    bar = Progbar(1000, stateless_metrics=())
    bar.update(250, LOGS.items())
    assert re.fullmatch(
        r" 250/1000 ━{20} 0s \S+/step - accuracy: 0.9812 - loss: 0.0500", terminal.screen()[0]
    )
    assert "\x1b[32m━━━━━\x1b[0m\x1b[90m━" in terminal.getvalue()  # a quarter is filled


def test_time_left(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    always_due(monkeypatch)
    now = [0.0]
    monkeypatch.setattr(progress, "perf_counter", lambda: now[0])
    bar = Progbar(100)
    for step, at in ((1, 50.0), (2, 51.0), (11, 60.0)):  # the first one compiles
        now[0] = at
        bar.update(step)
    assert terminal.screen()[0].endswith("60s 1s/step (1:29 left)")


def test_validation_is_shown_but_not_counted(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    always_due(monkeypatch)
    now = [0.0]
    monkeypatch.setattr(progress, "perf_counter", lambda: now[0])
    logger = CallbackList(add_progbar=True, verbose=1, epochs=1, steps=2)
    logger.on_train_begin()
    logger.on_epoch_begin(0)
    for step in (1, 2):
        now[0] += 1
        logger.on_dispatch("train", step, 2, lambda: LOGS)
    logger.on_test_begin()
    now[0] += 10
    logger.on_dispatch("test", 3, 7, lambda: pytest.fail("the metrics of validation are not on the line"))
    assert "validating 3/7 - accuracy" in terminal.screen()[0]
    logger.on_test_end({"loss": 1.0})
    logger.on_epoch_end(0, {**LOGS, "val_loss": 1.0})
    assert terminal.screen()[0].startswith("2/2 ━━━━━━━━━━━━━━━━━━━━ 12s 1s/step - accuracy: 0.9812")
    assert terminal.screen()[1] == "val_loss: 1.0000"


@pytest.mark.parametrize("width", [80, 50, 30])
def test_a_line_never_wraps_and_shrinks_in_order(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = on(Terminal(), monkeypatch)
    always_due(monkeypatch)
    bar = Progbar(10, stateless_metrics=())
    for step in range(1, 10):
        bar.update(step, LOGS.items())
    line = stream.screen()[0]
    assert len(line) < width and line.startswith(" 9/10 ")
    assert ("━━━━━" in line, line.endswith("…")) == {80: (True, False), 50: (False, True), 30: (False, True)}[
        width
    ]
    bar.finish(LOGS.items())
    assert " ".join(stream.screen()).rstrip().endswith("accuracy: 0.9812 - loss: 0.0500")
    assert all(len(line) <= width for line in stream.screen())


def test_a_shorter_line_covers_a_longer_one(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    always_due(monkeypatch)
    bar = Progbar(None, stateless_metrics=())
    bar.update(1, [("loss", 12345.0)])
    bar.update(2, [("loss", 1.0)])
    assert re.fullmatch(r"2/Unknown 0s \S+/step - loss: 1.0000", terminal.screen()[0])


def test_unknown_number_of_steps_is_known_after_an_epoch(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    always_due(monkeypatch)
    seen = []
    fit(known=False, callbacks=LambdaCallback(on_epoch_end=lambda *_: seen.append(terminal.getvalue())))
    assert "3/Unknown" in seen[0] and "3/4 " not in seen[0]
    assert re.fullmatch(FINAL, terminal.screen()[1])
    assert "3/4" in re.sub(r"\x1b\[[0-9;]*m", "", seen[1])


def test_an_epoch_cut_short_shows_what_was_done(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    logger = CallbackList(add_progbar=True, verbose=1, epochs=1, steps=10)
    logger.on_train_begin()
    logger.on_epoch_begin(0)
    logger.on_dispatch("train", 3, 10, lambda: LOGS)
    logger.on_epoch_end(0, LOGS)
    assert terminal.screen()[0].startswith(" 3/10 ━━━")


def test_prints_of_callbacks_stand_above_the_line(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    always_due(monkeypatch)
    fit(callbacks=LambdaCallback(on_epoch_end=lambda epoch, logs: print("hello", epoch)))
    lines = terminal.screen()
    assert lines[1] == "hello 0" and lines[4] == "hello 1"
    assert re.fullmatch(FINAL, lines[2])


def test_message_takes_the_place_of_the_live_line(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    always_due(monkeypatch)
    Progbar(10).update(3, [("loss", 1.0)])
    progress.message("saved")
    assert terminal.screen() == ["saved", ""]


@pytest.mark.parametrize("mode", ["test", "predict"])
def test_evaluate_and_predict(mode, monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    told = CallbackList(add_progbar=True, verbose="auto", epochs=1, steps=2)
    getattr(told, f"on_{mode}_begin")()
    for step in (1, 2):
        told.on_dispatch(
            mode, step, 2, lambda: {"loss": 0.5} if mode == "test" else pytest.fail("no metrics")
        )
    getattr(told, f"on_{mode}_end")({"loss": 0.5} if mode == "test" else None)
    assert re.fullmatch(r"2/2 ━{20} 0s \S+/step" + " - loss: 0.5000" * (mode == "test"), terminal.screen()[0])


def test_hand_written_loops_report_batches(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    always_due(monkeypatch)
    told = CallbackList(add_progbar=True, verbose=1, epochs=1, steps=4)
    told.on_train_begin()
    told.on_epoch_begin(0)
    told.on_train_batch_end(0, {"loss": np.float32(0.5)})
    told.on_train_batch_end(1, {"loss": np.float32(0.25)})
    assert terminal.screen()[0].startswith("2/4 ━") and terminal.screen()[0].endswith("loss: 0.2500")


PLAIN = r"Epoch 1/2 - 4/4 - 0s - \d+(us|ms|s)/step - accuracy: 0.9812 - loss: 0.0500"


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_output_that_is_no_terminal_has_one_plain_line_an_epoch(verbose, capsys):
    fit(verbose=verbose)
    written = capsys.readouterr().out
    first, second = written.splitlines()
    assert re.fullmatch(PLAIN, first) and second.startswith("Epoch 2/2 - 4/4")
    assert "\x1b" not in written and "\r" not in written


def test_verbose_2_is_plain_on_a_terminal_too(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    fit(verbose=2)
    assert re.fullmatch(PLAIN, terminal.getvalue().splitlines()[0])


def test_verbose_0_is_silent(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    fit(verbose=0, validation=2)
    assert terminal.getvalue() == ""


def test_dumb_terminals_get_plain_lines(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    fit()
    assert re.fullmatch(PLAIN, terminal.getvalue().splitlines()[0])


def test_no_color_means_no_escape_codes(monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    always_due(monkeypatch)
    fit()
    assert "\x1b" not in terminal.getvalue()
    assert re.fullmatch(FINAL, terminal.screen()[1])


def test_ascii_terminals_get_ascii(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream = on(AsciiTerminal(), monkeypatch)
    always_due(monkeypatch)
    fit()
    assert any(line.startswith("4/4 ====") for line in stream.screen())


def test_notebooks_are_live_without_being_terminals(monkeypatch):
    out_stream = type(
        "OutStream", (Terminal,), {"__module__": "ipykernel.iostream", "isatty": lambda self: False}
    )
    stream = on(out_stream(), monkeypatch)
    fit()
    assert re.fullmatch(FINAL, stream.screen()[1])


def test_interactive_logging_off_sends_plain_lines_to_logging(caplog, monkeypatch):
    terminal = on(Terminal(), monkeypatch)
    config.disable_interactive_logging()
    try:
        with caplog.at_level(logging.INFO, "triceras"):
            fit()
    finally:
        config.enable_interactive_logging()
    assert terminal.getvalue() == ""
    assert re.fullmatch(PLAIN, caplog.messages[0]) and len(caplog.messages) == 2


def test_drawing_keeps_to_ten_a_second(monkeypatch):
    on(Terminal(), monkeypatch)
    bar, reads = Progbar(None, stateless_metrics=()), []
    ends = time.perf_counter() + 0.35
    step = 0
    while time.perf_counter() < ends:
        step += 1
        bar.advance(step, lambda: reads.append(1) or LOGS)
    assert step > 1000 and 2 <= len(reads) <= 4


def test_costly_values_are_read_seldom(monkeypatch):
    """Reading takes 10 ms of this thread, so that 2% allow one in half a second; waiting doesn't count."""
    on(Terminal(), monkeypatch)
    reads = []

    def read():
        reads.append(1)
        until = time.thread_time() + 0.01
        while time.thread_time() < until:
            pass
        return LOGS

    bar, step = Progbar(None, stateless_metrics=()), 0
    ends = time.perf_counter() + 0.45
    while time.perf_counter() < ends:
        step += 1
        bar.advance(step, read)
    assert len(reads) == 1

    progress._screen.quiet_until = 0.0
    bar.advance(step + 1, lambda: time.sleep(0.05) or LOGS)
    assert progress._screen.quiet_until < time.perf_counter() + 0.3


@pytest.mark.parametrize(
    "names, expected",
    [
        ({}, 1.0),
        ({"stateful_metrics": []}, 1.0),
        ({"stateless_metrics": ["value"]}, 1.0),
        ({"stateless_metrics": []}, 2.0),
        ({"stateful_metrics": ["value"]}, 2.0),
    ],
)
def test_averaged_or_shown_as_they_are(names, expected, capsys):
    bar = Progbar(3, interval=0, **names)
    bar.update(1, [("value", 0.0)])
    bar.update(2, [("value", 2.0)])
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"value: {expected:.4f}")


def test_averages_are_weighted_by_steps(capsys):
    bar = Progbar(4, verbose=2, unit_name="sample")
    bar.add(3, [("loss", 1.0)])
    bar.add(1, [("loss", 5.0)])
    line = capsys.readouterr().out
    assert line.startswith("4/4 - 0s - ") and line.endswith("/sample - loss: 2.0000\n")


@pytest.mark.parametrize(
    "value, text",
    [
        (1.5, "1.5000"),
        (np.array(1.5), "1.5000"),
        ([0.0, 1.0, 2.0], "1.0000"),
        (2e-4, "2.0000e-04"),
        (-3.0, "-3.0000"),
        (0, "0.0000e+00"),
        (float("nan"), "nan"),
    ],
)
def test_values(value, text, capsys):
    Progbar(1).update(1, [("v", value)])
    assert capsys.readouterr().out.endswith(f" - v: {text}\n")


@pytest.mark.parametrize("verbose", [1, 2])
def test_no_steps_at_all(verbose, capsys):
    Progbar(0, verbose=verbose).update(0, finalize=True)
    assert capsys.readouterr().out.startswith("0/0 - 0s")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"stateful_metrics": [], "stateless_metrics": []}, "Only one of"),
        ({"verbose": 3}, "`verbose` must be"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Progbar(1, **arguments)


@pytest.mark.parametrize(
    "seconds, text", [(0, "0s"), (59.4, "59s"), (59.6, "1:00"), (3599.7, "1:00:00"), (7325, "2:02:05")]
)
def test_clock(seconds, text):
    assert progress._clock(seconds) == text
