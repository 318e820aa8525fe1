"""Trains a recipe into a run folder."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import triceras as keras
from triceras.apps import pictures, reports
from triceras.apps.recipes.images import BASE
from triceras.apps.recipes.recipe import Data, Recipe, Settings
from triceras.apps.recipes.sources import counts
from triceras.apps.runs import FILES, Run
from triceras.core.errors import ArgumentError, EngineError, require

FEW_CLASSES = 4  # so many are listed with their numbers
MAY_CHANGE = ("epochs", "engine")  # when a run goes on


class Stopped(KeyboardInterrupt):
    """The user asked a training to stop, and it was safe to."""


def run(
    recipe: Recipe,
    given: Mapping[str, Any] | None = None,
    out: Path | None = None,
    resume: bool = False,
    label: str | None = None,
) -> Path:
    """Train a recipe, test the best network and write all results.

    Args:
        recipe: what to train.
        given: settings that aren't the recipe's usual ones.
        out: the folder for the results; the next free `runs/LABEL-N` if not given, to resume the latest one.
        resume: go on after the last epoch that was finished.
        label: of numbered folders; the recipe's name if not given.

    Returns:
        The folder.

    Raises:
        Stopped: it was asked to stop by SIGINT or SIGTERM; the folder holds all finished epochs.
    """
    check(None if resume else out)
    given = dict(given or {})
    old = Run.existing(recipe.name, out) if resume else None
    before = {} if old is None else _settings_of(old, recipe)
    with _stops() as stops, ExitStack() as context:
        engine = given.get("engine") or before.get("engine")
        if engine not in (None, "auto"):
            context.enter_context(keras.use_engine(engine))
        settings = recipe.told(before | given) if old else recipe.told(given)
        if old is not None:
            _check_unchanged(old, recipe, before, settings)
        context.enter_context(_precision(settings.precision))
        keras.utils.set_random_seed(settings.seed)
        data = recipe.load(settings)
        if old is not None and (old.settings.get("pictures"), old.settings.get("classes")) != (
            _pictures(data),
            data.classes,
        ):
            raise ArgumentError(f"--resume: the pictures aren't those of the run in '{old.folder}' any more.")
        training = Training(recipe, settings, data, old, stops)
        try:
            training.prepare(out, label or recipe.name)
            training.fit()
            training.report()
            training.note("finished")
        except Stopped:
            training.note("stopped")
            raise
        except BaseException as error:
            training.note("stopped" if isinstance(error, KeyboardInterrupt) else "failed", error)
            raise
    training.tell_results()
    return training.run.folder


def check(out: Path | None) -> None:
    """Raise now for what would otherwise come up only after the training.

    Raises:
        ArgumentError: the folder for the results can't be used.
        OptionalDependencyError: something isn't installed.
    """
    require("matplotlib", "plot", "The pictures of a training")
    require("sklearn", "apps", "The report of a training")
    Run.check_free(out)


class Training(keras.callbacks.Callback):
    """One run of a recipe; as a callback of `fit` it keeps the folder up to date.

    Args:
        recipe: what is trained.
        settings: of this run.
        data: its pictures.
        old: the run to go on with, or None.
        stops: says when the user wants to stop.
    """

    def __init__(self, recipe: Recipe, settings: Settings, data: Data, old: Run | None, stops: Stops) -> None:
        from rich.console import Console

        super().__init__()
        self.recipe, self.settings, self.data, self.stops = recipe, settings, data, stops
        self.console = Console(highlight=False, soft_wrap=True)
        self.run: Run | None = old
        self.rows: list[dict[str, float]] = []  # of history.csv
        self.steps = math.ceil(len(data.train[1]) / settings.batch_size)
        self.channels = data.train[0].shape[-1]
        self.network: Any = None
        self._epoch = 0

    # -- before ----------------------------------------------------------------------------------------------

    def prepare(self, out: Path | None, label: str) -> None:
        """Make or load the network, then the folder; what fails before leaves no trace."""
        self.balance = self._balance()
        _check_gradients()
        resumed = self.run is not None and self.run["model.keras"].is_file()
        if resumed:
            self.network = keras.models.load_model(self.run["model.keras"])
            self.rows = self._finished(self.run.history)
        else:
            self.network = self.recipe.build(self.settings, len(self.data.classes), self.channels)
            self._compile(self.settings.lr)
        if self.run is None:
            self.run = Run.new(label, out)
        self.run.settings = {
            "recipe": self.recipe.name,
            "classes": self.data.classes,
            "channels": self.channels,
            **_stored(self.settings, self.recipe),
            "image_size": list(self.settings.size),
            "pictures": _pictures(self.data),
            "version": keras.__version__,
        }
        self.run.history = self.rows
        self._describe(resumed)
        self.run.note(
            state="preparing",
            epoch=len(self.rows),
            epochs=self.settings.epochs,
            step=0,
            steps=self.steps,
            logs={},
            error=None,
        )

    def _compile(self, rate: float) -> None:
        outputs = self.network.output
        several = isinstance(outputs, dict)
        self.network.compile(
            optimizer=_optimizer(self.settings.optimizer, rate, self.recipe.average * self._planned),
            loss={name: "sparse_categorical_crossentropy" for name in outputs}
            if several
            else "sparse_categorical_crossentropy",
            metrics={name: ["accuracy"] for name in outputs} if several else ["accuracy"],
        )

    def _finished(self, rows: list[dict[str, float]]) -> list[dict[str, float]]:
        """The epochs that the saved network has seen; maybe the last one was cut off before it was saved."""
        done = int(self.network.optimizer.iterations) / self.steps
        if self._fine_tuning:
            done += self._first_fine
        return rows[:-1] if rows and done < len(rows) - 0.5 else rows

    @property
    def _planned(self) -> int:
        """The steps of the whole run."""
        return self.steps * self.settings.epochs

    @property
    def _first_fine(self) -> int:
        """The first epoch in which everything is trained."""
        return self.settings.epochs - self.settings.fine_tune

    @property
    def _fine_tuning(self) -> bool:
        """Whether the ready-made network is trained too, after it was frozen."""
        return self.settings.fine_tune > 0 and self.network.get_layer(BASE).trainable

    # -- training --------------------------------------------------------------------------------------------

    def fit(self) -> None:
        """All epochs that are left."""
        if self.settings.fine_tune:
            self._fit(self._first_fine)
            if not self._fine_tuning:
                self.network.get_layer(BASE).trainable = True
                self._compile(self.settings.lr / 10)
                self.console.print("\n[bold]Fine-tuning[/]: from here on everything is trained.")
        self._fit(self.settings.epochs)

    def _fit(self, epochs: int) -> None:
        if len(self.rows) >= epochs:
            return
        settings = self.settings
        labels = self.recipe.tasks(self.data.train[1], settings)
        x, y = self._validation()
        averaged = [keras.callbacks.SwapEMAWeights()] if self.recipe.average else []
        self.stops.waits = True
        np.random.seed(settings.seed)  # of which `fit` makes the order, as if it had never been interrupted
        self.network.fit(
            self.data.train[0],
            labels,
            batch_size=settings.batch_size,
            epochs=epochs,
            initial_epoch=len(self.rows),
            callbacks=[keras.callbacks.LearningRateScheduler(self._rate), *averaged, self],
            validation_data=(x, self.recipe.tasks(y, settings)),
            validation_batch_size=max(settings.batch_size, 128),
            **self.balance,
            engine="auto" if settings.engine == "auto" and not self.rows else None,
        )
        self.stops.waits = False

    def _rate(self, epoch: int) -> float:
        """The learning rate of an epoch, by the settings alone, so that a run can go on anywhere."""
        settings, rate = self.settings, self.settings.lr
        if self._fine_tuning:
            rate /= 10
        if settings.schedule == "constant":
            return rate
        return rate * 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))

    def _validation(self) -> tuple[Any, np.ndarray]:
        """Pictures to choose the best epoch by: each one, and if classes count alike, the rarer ones' repeatedly."""
        x, y = self.data.validation
        if self.settings.balance != "none":
            of_class = [rows for c in range(len(self.data.classes)) if len(rows := np.flatnonzero(y == c))]
            most = max(map(len, of_class))
            chosen = np.concatenate([np.resize(rows, most) for rows in of_class])
            x, y = x[chosen], y[chosen]
        if not (self.settings.augment and self.recipe.copies):
            return x, y
        keras.utils.set_random_seed(self.settings.seed)  # the same copies if the run goes on later
        copies = [np.asarray(x, "float32"), *(self._varied(x) for _ in range(self.recipe.copies))]
        return np.concatenate(copies), np.concatenate([y] * len(copies))

    def _varied(self, images: Any) -> np.ndarray:
        """The pictures, varied as those of the training are."""
        layers, found = self.recipe.augmentation(), []
        for start in range(0, len(images), 128):
            part = np.asarray(images[start : start + 128], "float32") / 255
            for layer in layers:
                part = layer(part, training=True)
            found.append(255 * keras.ops.convert_to_numpy(part))
        return np.concatenate(found)

    def _balance(self) -> dict[str, Any]:
        if self.settings.balance == "none":
            return {}
        if isinstance(self.recipe.tasks(self.data.train[1][:1], self.settings), dict):
            raise ArgumentError("--balance is for networks with one output.")
        if self.settings.balance == "sampler":
            return {"balance": True}
        count = np.bincount(self.data.train[1], minlength=len(self.data.classes))
        weights = len(self.data.train[1]) / (len(count) * np.maximum(count, 1))
        return {"class_weight": dict(enumerate(weights.tolist()))}

    # -- as a callback of fit --------------------------------------------------------------------------------

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Random numbers depend on the seed and the epoch alone, so that a run can go on anywhere."""
        self._epoch = epoch
        states = [v for v in self.network.variables if v.name == "seed_generator_state"]
        for number, state in enumerate(states):
            start = np.random.SeedSequence([self.settings.seed, epoch, number]).generate_state(1)[0]
            state.assign(np.array([start, 0], "uint32"))

    def on_dispatch(self, mode: str, done: int, total: int | None, logs: Any) -> None:
        self.stops.check()
        if mode == "train" and self.run.is_due:
            self.run.note(state="running", epoch=self._epoch + 1, step=done, steps=self.steps, logs=logs())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the epoch: first its row, the network last, so that a row too many shows what was cut off."""
        row = {"epoch": epoch + 1, **(logs or {})}
        best = max(map(self._merit, self.rows), default=None)
        self.rows.append(row)
        self.run.history = self.rows
        if best is None or self._merit(row) > best:
            self.network.optimizer.show_average(True)  # with which it was validated
            self.network.save(self.run["best.keras"])
            self.network.optimizer.show_average(False)
        self.network.save(self.run["model.keras"])
        self.run.note(state="running", epoch=epoch + 1, step=self.steps, steps=self.steps, logs=logs)
        self.stops.check()

    @property
    def _measure(self) -> str:
        """The column that decides which network is the best one."""
        first = next(iter(self.network.output)) if isinstance(self.network.output, dict) else None
        return f"val_{first}_accuracy" if first else "val_accuracy"

    def _merit(self, row: Mapping[str, float]) -> tuple[float, float]:
        """How good an epoch was on validation data: by accuracy, among equals by loss."""
        merit = row[self._measure], -row["val_loss"]
        return merit if all(map(math.isfinite, merit)) else (-1.0, -math.inf)

    # -- after -----------------------------------------------------------------------------------------------

    def report(self) -> None:
        """Test the best network and draw what it does."""
        best = max(self.rows, key=self._merit)
        self.network = keras.models.load_model(self.run["best.keras"])
        x, y = self.data.test
        title = (
            f"The best network, of epoch {best['epoch']:.0f} of {len(self.rows)} by validation "
            f"({self._measure[4:].replace('_', ' ')} {best[self._measure]:.2%}), on the test pictures"
        )
        report = reports.Report.of(
            self.network, x, self.recipe.tasks(y, self.settings), self.data.classes, title
        )
        report.facts |= {"model": "best.keras", "epoch": int(best["epoch"])}
        self._draw_curves()
        report.write(self.run.folder)
        self.console.print(f"\n{report.text}", markup=False)

    def _draw_curves(self) -> None:
        if self.rows:
            columns = {name: [row[name] for row in self.rows] for name in self.rows[0] if name != "epoch"}
            pictures.learning_curves(columns, self.run["curves.png"])

    def note(self, state: str, error: BaseException | None = None) -> None:
        """Write how the run ended, if it came so far as to have a folder."""
        if self.network is None or self.run is None:
            return
        if state == "stopped":
            self._draw_curves()
        text = None if error is None or state == "stopped" else str(error) or type(error).__name__
        self.run.note(state=state, epoch=len(self.rows), error=text)

    # -- what the user sees ----------------------------------------------------------------------------------

    def _describe(self, resumed: bool) -> None:
        from rich.markup import escape

        settings, show = self.settings, self.console.print
        show(f"[bold]{self.recipe.name}[/]: {self.recipe.summary}")
        for part, count in counts(self.data):
            few = ", ".join(f"{name} {n:,}" for name, n in count.items())
            few = few if len(count) <= FEW_CLASSES else f"{sum(n > 0 for n in count.values())} classes"
            show(f"  {part:<11}{count.total():>7,} pictures ({few})", markup=False)
        for note in self.data.notes:
            show(note, style="yellow", markup=False)
        how = f"{settings.optimizer}, rate {settings.lr:g}"
        how += "" if settings.schedule == "constant" else " falling along a cosine"
        how += f", batches of {settings.batch_size}, on {self.network.engine}"
        how += "" if settings.precision == "float32" else f" in {settings.precision}"
        how += ", varied pictures" if settings.augment else ""
        how += " (in validation too)" if settings.augment and self.recipe.copies else ""
        how += (
            ""
            if settings.balance == "none"
            else f", classes balanced by {settings.balance} (in validation too)"
        )
        show(f"[bold]Training[/] for {counted(settings.epochs, 'epoch')}: {how}")
        show(f"[bold]Results[/] go to {escape(str(self.run.folder))}\n")
        if resumed:
            show(f"{counted(len(self.rows), 'epoch')} of the run are done.\n")
        else:
            self.network.summary()
            show()

    def tell_results(self) -> None:
        """What was written, and what can be done with it."""
        folder, best = self.run.folder, shlex.quote(str(self.run["best.keras"]))
        command = "triceras" if shutil.which("triceras") else f"{os.path.relpath(sys.executable)} -m triceras"
        written = [f"  {name:<15} {about}" for name, about in FILES.items() if (folder / name).is_file()]
        for heading, *lines in (
            (f"Written to {folder}/", *written, ""),
            (
                "What next",
                f"  {command} predict {best} PICTURE ...",
                f"  {command} explain {best} PICTURE",
                f"  {command} train {self.recipe.name} --resume --out {shlex.quote(str(folder))} "
                f"--epochs {2 * self.settings.epochs}",
            ),
            (
                "In Python",
                "  import triceras as keras",
                f'  model = keras.models.load_model("{self.run["best.keras"].as_posix()}")',
            ),
        ):
            self.console.print(heading, style="bold", markup=False)
            self.console.print("\n".join(lines), markup=False)


def counted(number: int, what: str) -> str:
    """A number with its noun."""
    return f"{number:,} {what}{'s'[: number != 1]}"


def _check_gradients() -> None:
    """Raise where the engine computes none, before anything is written."""
    one = keras.Variable(1.0)
    try:
        keras.value_and_grad(lambda: one * 1.0, [one])()
    except EngineError as error:
        raise ArgumentError(f"--engine: {error}") from error


def _optimizer(name: str, rate: float, span: float) -> Any:
    """An optimizer that keeps an average of the weights over a span of steps, or none for 0."""
    averaging = {"use_ema": True, "ema_momentum": 1 - 1 / max(span, 2)} if span else {}
    return type(keras.optimizers.get(name))(learning_rate=rate, **averaging)


def _pictures(data: Data) -> dict[str, dict[str, int]]:
    return {part: dict(count) for part, count in counts(data)}


def _settings_of(run: Run, recipe: Recipe) -> dict[str, Any]:
    stored = run.settings
    found = {name: stored[name] for name in recipe.names() if name in stored}
    if isinstance(size := found.get("image_size"), list):
        found["image_size"] = "x".join(map(str, size))
    return found


def _stored(settings: Settings, recipe: Recipe) -> dict[str, Any]:
    """The options as a run keeps them: with paths that can also be found from elsewhere."""
    found = {name: getattr(settings, name) for name in recipe.names()}
    for name in {"data", "weights"} & found.keys():
        path = os.path.expanduser(found[name] or "")
        found[name] = os.path.abspath(path) if os.path.exists(path) else found[name]
    return found


def _check_unchanged(run: Run, recipe: Recipe, before: Mapping[str, Any], settings: Settings) -> None:
    now = _stored(settings, recipe)
    changed = [
        f"--{name.replace('_', '-')} was {before[name]} and is {now[name]}"
        for name in now
        if name in before and name not in MAY_CHANGE and now[name] != before[name]
    ]
    if changed:
        raise ArgumentError(
            f"--resume: the run in '{run.folder}' was started with other settings: {'; '.join(changed)}. "
            "Leave these options out, or start a new run."
        )


@contextmanager
def _precision(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class Stops:
    """Whether the user asked a training to stop; between the steps of `fit` it is safe to."""

    def __init__(self) -> None:
        self.asked = False
        self.waits = False  # for a safe moment, because a training runs

    def ask(self, *_: Any) -> None:
        """What happens on a signal: the first one waits for a safe moment, the second one doesn't."""
        if self.asked or not self.waits:
            raise Stopped
        self.asked = True

    def check(self) -> None:
        """Raise if it was asked for.

        Raises:
            Stopped: it was.
        """
        if self.asked:
            raise Stopped


@contextmanager
def _stops() -> Iterator[Stops]:
    """SIGINT and SIGTERM as a wish to stop, where signals can be had."""
    stops = Stops()
    if threading.current_thread() is not threading.main_thread():
        yield stops
        return
    names = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last one on Windows
    before = {n: signal.signal(getattr(signal, n), stops.ask) for n in names if hasattr(signal, n)}
    try:
        yield stops
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
