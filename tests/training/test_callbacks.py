"""Callbacks against a small model that only remembers, driven by hand."""

from __future__ import annotations

import csv
import inspect
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from triceras import ops
from triceras.core.errors import ArgumentError, ArgumentTypeError, OptionalDependencyError
from triceras.training import callbacks as cb

NAN = float("nan")


class Optimizer:
    def __init__(self, rate=0.1, name="sgd"):
        self._rate = np.float32(rate)
        self.name = name

    @property
    def learning_rate(self):
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._rate = np.float32(value)


class Model:
    """Its weights are the number of epochs it was trained for."""

    def __init__(self, **optimizer):
        self.optimizer = Optimizer(**optimizer)
        self.metrics = [
            SimpleNamespace(name="loss"),
            SimpleNamespace(
                name="compile_metrics",
                metrics=[
                    SimpleNamespace(name="accuracy", _direction="up"),
                    SimpleNamespace(name="mse", _direction="down"),
                    SimpleNamespace(name="odd"),
                ],
            ),
        ]
        self.stop_training = False
        self.weights = [0]
        self.saved = []

    def get_weights(self):
        return list(self.weights)

    def set_weights(self, weights):
        self.weights = list(weights)

    def save(self, path, overwrite=False):
        Path(path).write_text("model")
        self.saved.append(Path(path).name)

    def save_weights(self, path, overwrite=False):
        Path(path).write_text("weights")
        self.saved.append(Path(path).name)


def run(callback, epochs, model=None, batches=0, batch_logs=None, params=None):
    """Drive callbacks through epochs given as dicts of logs; returns the model, with its history."""
    model = model or Model()
    told = cb.CallbackList(callback, add_history=True, model=model, **(params or {"epochs": len(epochs)}))
    model.stop_training = False
    told.on_train_begin()
    for epoch, logs in enumerate(epochs):
        told.on_epoch_begin(epoch)
        model.weights = [epoch + 1]
        for batch in range(batches):
            told.on_train_batch_begin(batch)
            told.on_train_batch_end(batch, (batch_logs or {}).get((epoch, batch), {"loss": 1.0}))
            if model.stop_training:
                break
        told.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    told.on_train_end(logs)
    return model


def values(name, *numbers):
    return [{name: number} for number in numbers]


# --- the base and the list ------------------------------------------------------------------------


def test_hooks_reach_every_callback_in_order_with_floats():
    seen = []

    class Recorder(cb.Callback):
        def on_epoch_begin(self, epoch, logs):
            seen.append(("epoch begin", epoch, logs))

        def on_batch_end(self, batch, logs):
            seen.append(("batch end", batch, logs))

        def on_epoch_end(self, epoch, logs):
            seen.append(("epoch end", epoch, logs))

        def on_train_end(self, logs):
            seen.append(("train end", logs))

    run([Recorder(), [Recorder()]], [{"loss": np.float32(0.5), "acc": np.array(1)}], batches=1)
    assert seen[::2] == seen[1::2]
    assert seen[::2] == [
        ("epoch begin", 0, {}),
        ("batch end", 0, {"loss": 1.0}),
        ("epoch end", 0, {"acc": 1.0, "loss": 0.5}),
        ("train end", {"acc": 1.0, "loss": 0.5}),
    ]
    assert all(type(value) is float for value in seen[-1][1].values())


def test_arrays_in_logs_stay_as_they_are():
    outputs = np.ones((2, 3))
    seen = []
    told = cb.CallbackList(cb.LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs)))
    told.on_predict_batch_end(0, {"outputs": outputs})
    assert seen[0]["outputs"] is outputs


def test_every_hook_of_the_list_calls_the_same_hook():
    hooks = [name for name in dir(cb.Callback) if name.startswith("on_") and name != "on_dispatch"]
    assert len(hooks) == 16
    for hook in hooks:
        seen = []
        told = cb.CallbackList(cb.LambdaCallback(**{hook: lambda *a, seen=seen, **k: seen.append((a, k))}))
        counted = "batch" in hook or "epoch" in hook
        getattr(told, hook)(*([7] if counted else []), {"loss": 1})
        arguments, named = seen[0]
        assert (*arguments, *named.values()) == ((7, {"loss": 1.0}) if counted else ({"loss": 1.0},)), hook
        assert len(seen) == 1, hook


def test_the_list_adds_what_is_missing_and_passes_model_and_params_on():
    model, mine = Model(), cb.History()
    told = cb.CallbackList(
        [mine], add_history=True, add_progbar=True, model=model, verbose=0, epochs=3, steps=5
    )
    assert [type(c).__name__ for c in told.callbacks] == ["History", "ProgbarLogger"]
    assert model.history is mine and mine.model is model
    assert mine.params == {"verbose": 0, "epochs": 3, "steps": 5}
    assert cb.CallbackList().callbacks == []
    assert cb.CallbackList(mine, model=None).callbacks == [mine]


@pytest.mark.parametrize(
    "wrong, message", [(cb.History, "Did you mean to call the class"), (3, "Received: 3")]
)
def test_things_that_are_no_callbacks(wrong, message):
    with pytest.raises(ArgumentTypeError, match=message):
        cb.CallbackList([wrong])


class TrainBatch(cb.Callback):
    def on_train_batch_begin(self, batch, logs=None): ...


class OldBatch(cb.Callback):
    def on_batch_end(self, batch, logs=None): ...


class TestBatch(cb.Callback):
    __test__ = False

    def on_test_batch_end(self, batch, logs=None): ...


class SavingSubclass(cb.ModelCheckpoint):
    def on_train_batch_end(self, batch, logs=None): ...


@pytest.mark.parametrize(
    "callback, modes",
    [
        (cb.Callback(), ""),
        (cb.History(), ""),
        (cb.ProgbarLogger(), ""),
        (cb.EarlyStopping(), ""),
        (cb.CSVLogger("unused.csv"), ""),
        (TrainBatch(), "train"),
        (OldBatch(), "train"),
        (TestBatch(), "test"),
        (cb.TerminateOnNaN(), "train"),
        (cb.LambdaCallback(on_epoch_end=print), ""),
        (cb.LambdaCallback(on_train_batch_end=print), "train"),
        (cb.LambdaCallback(on_batch_begin=print), "train"),
        (cb.LambdaCallback(on_predict_batch_begin=print), "predict"),
        (cb.ModelCheckpoint("unused.keras"), ""),
        (cb.ModelCheckpoint("unused.keras", save_freq=10), "train"),
        (SavingSubclass("unused.keras"), "train"),
        (cb.CallbackList([TestBatch()]), "test"),
    ],
)
def test_who_listens_to_batches(callback, modes):
    told = cb.CallbackList([cb.History(), callback], add_progbar=True)
    assert [mode for mode in ("train", "test", "predict") if told.listens_to_batches(mode)] == modes.split()


def test_dispatches_reach_displays():
    seen = []

    class Display(cb.Callback):
        def on_dispatch(self, mode, done, total, logs):
            seen.append((mode, done, total, logs()))

    told = cb.CallbackList([Display()])
    told.on_dispatch("train", 4, 8, lambda: {"loss": 1.0})
    told.on_test_batch_end(2, {"loss": 2})
    assert seen == [("train", 4, 8, {"loss": 1.0}), ("test", 3, None, {"loss": 2.0})]


def test_history_keeps_every_epoch():
    history = cb.History()
    model = run(history, [{"loss": 2.0}, {"loss": 1.0, "val_loss": 3.0}])
    assert model.history is history and history.epoch == [0, 1]
    assert history.history == {"loss": [2.0, 1.0], "val_loss": [3.0]}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"on_epoch_finish": print}, "no hook `on_epoch_finish`.*on_epoch_end"),
        ({"set_model": print}, "no hook `set_model`"),
        ({"on_epoch_end": 3}, "`on_epoch_end` must be a function. Received: 3"),
    ],
)
def test_lambda_callback_errors(arguments, message):
    with pytest.raises(ArgumentTypeError, match=message):
        cb.LambdaCallback(**arguments)


# --- which direction is better --------------------------------------------------------------------


@pytest.mark.parametrize(
    "monitor, mode, better",
    [
        ("loss", "auto", "less"),
        ("val_loss", "auto", "less"),
        ("val_head_loss", "auto", "less"),
        ("accuracy", "auto", "greater"),
        ("val_accuracy", "auto", "greater"),
        ("val_head_accuracy", "auto", "greater"),
        ("mse", "auto", "less"),
        ("mse", "max", "greater"),
        ("accuracy", "min", "less"),
    ],
)
def test_direction(monitor, mode, better):
    stop = cb.EarlyStopping(monitor, mode=mode)
    run(stop, values(monitor, 1.0))
    assert stop.monitor_op is getattr(ops, better)


@pytest.mark.parametrize("monitor", ["unknown", "val_odd"])
@pytest.mark.parametrize(
    "kind, arguments",
    [
        (cb.EarlyStopping, {}),
        (cb.ReduceLROnPlateau, {}),
        (cb.ModelCheckpoint, {"filepath": "unused.keras", "save_best_only": True}),
    ],
)
def test_unknown_direction(monitor, kind, arguments):
    with pytest.raises(ArgumentError, match=f"{kind.__name__} can't tell whether '{monitor}'.*mode=\"min\""):
        run(kind(monitor=monitor, **arguments), values(monitor, 1.0))


def test_unknown_mode_warns_and_becomes_auto():
    with pytest.warns(UserWarning, match="ModelCheckpoint mode 'best' is unknown"):
        assert cb.ModelCheckpoint("m.keras", mode="best").mode == "auto"


@pytest.mark.parametrize(
    "callback, message",
    [
        (
            lambda path: cb.EarlyStopping(),
            "Early stopping conditioned on metric `val_loss` which is not available",
        ),
        (lambda path: cb.ReduceLROnPlateau(), "Learning rate reduction is conditioned on metric `val_loss`"),
        (
            lambda path: cb.ModelCheckpoint(path, save_best_only=True),
            "Can save best model only with metric `val_loss`",
        ),
    ],
)
def test_a_missing_metric_warns_once_a_run(callback, message, tmp_path):
    callback = callback(tmp_path / "m.keras")
    for _ in range(2):
        with pytest.warns(UserWarning, match=message) as caught:
            run(callback, [{"loss": 1.0, "accuracy": 0.5}] * 3)
        assert len(caught) == 1
        assert "Available metrics are: accuracy,loss" in str(caught[0].message)


# --- early stopping -------------------------------------------------------------------------------

FALLING = (10.0, 9.0, 8.0, 9.0, 8.9, 8.8, 8.7, 8.6, 8.5)


@pytest.mark.parametrize(
    "arguments, numbers, epochs, weights",
    [
        ({"patience": 0}, FALLING, 4, 4),
        ({"patience": 1}, FALLING, 4, 4),
        ({"patience": 2}, FALLING, 5, 5),
        ({"patience": 3}, FALLING, 6, 6),
        ({"patience": 9}, FALLING, 9, 9),
        ({"patience": 2, "restore_best_weights": True}, FALLING, 5, 3),
        ({"patience": 9, "restore_best_weights": True}, FALLING, 9, 3),
        ({"patience": 1, "mode": "max"}, (1.0, 2.0, 2.0, 3.0), 3, 3),
        ({"patience": 1, "min_delta": 0.5}, (3.0, 2.0, 1.6, 0.0), 3, 3),
        ({"patience": 1, "min_delta": -0.5}, (3.0, 2.0, 1.6, 0.0), 3, 3),
        ({"patience": 1, "mode": "max", "min_delta": 0.5}, (0.0, 0.4, 1.0), 2, 2),
        ({"patience": 2, "baseline": 0.5}, (0.9, 0.8, 0.7, 0.71), 4, 4),
        ({"patience": 2, "baseline": 0.85}, (0.9, 0.8, 0.81, 0.82), 4, 4),
        (
            {"patience": 5, "baseline": 0.5, "restore_best_weights": True},
            (0.9, 0.8, 0.7, 0.71, 0.72, 0.73),
            5,
            3,
        ),
        ({"patience": 0, "start_from_epoch": 3}, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0), 5, 5),
        (
            {"patience": 2, "restore_best_weights": True, "start_from_epoch": 1},
            (0.0, 3.0, 2.0, 4.0, 5.0),
            5,
            3,
        ),
        ({"patience": 0}, (1.0, NAN), 2, 2),
    ],
)
def test_early_stopping(arguments, numbers, epochs, weights):
    stop = cb.EarlyStopping(monitor="loss", **arguments)
    for _ in range(2):  # a second run starts anew
        model = run(stop, values("loss", *numbers))
        assert (len(model.history.epoch), model.weights) == (epochs, [weights])
        assert stop.stopped_epoch == (epochs - 1 if model.stop_training else 0)


def test_early_stopping_says_what_it_does(capsys):
    run(cb.EarlyStopping("loss", patience=1, verbose=1, restore_best_weights=True), values("loss", 1.0, 2.0))
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping",
        "Restoring model weights from the end of the best epoch: 1.",
    ]


# --- checkpoints ----------------------------------------------------------------------------------

LOSSES = values("val_loss", 3.0, 2.0, 2.5, 1.0)


@pytest.mark.parametrize(
    "name, arguments, saved",
    [
        ("m.keras", {}, ["m.keras"] * 4),
        ("m.h5", {}, ["m.h5"] * 4),
        ("m.weights.h5", {"save_weights_only": True}, ["m.weights.h5"] * 4),
        (
            "deep/er/{epoch:02d}-{val_loss:.1f}.keras",
            {},
            ["01-3.0.keras", "02-2.0.keras", "03-2.5.keras", "04-1.0.keras"],
        ),
        ("{epoch}.keras", {"save_best_only": True}, ["1.keras", "2.keras", "4.keras"]),
        ("{epoch}.keras", {"save_best_only": True, "mode": "max"}, ["1.keras"]),
        ("{epoch}.keras", {"save_best_only": True, "initial_value_threshold": 2.2}, ["2.keras", "4.keras"]),
        (
            "{epoch}-{batch}.keras",
            {"save_freq": 2},
            ["1-2.keras", "2-1.keras", "2-3.keras", "3-2.keras", "4-1.keras", "4-3.keras"],
        ),
        ("{epoch}-{batch}.keras", {"save_freq": 5}, ["2-2.keras", "4-1.keras"]),
        ("{epoch}-{batch}-{loss:.0f}.keras", {"save_freq": 12}, ["4-3-1.keras"]),
        ("{batch}.keras", {"save_freq": 1, "save_best_only": True, "monitor": "loss"}, ["1.keras"]),
    ],
)
def test_checkpoints(name, arguments, saved, tmp_path):
    model = run(cb.ModelCheckpoint(tmp_path / name, **arguments), LOSSES, batches=3)
    assert model.saved == saved
    content = "weights" if arguments.get("save_weights_only") else "model"
    assert all(path.read_text() == content for path in (tmp_path / name).parent.iterdir() if path.is_file())


def test_checkpoint_says_what_it_does(capsys, tmp_path):
    path = tmp_path / "m.keras"
    run(cb.ModelCheckpoint(path, verbose=1, save_best_only=True), LOSSES[:3])
    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1: val_loss improved from None to 3.00000, saving model to {path}",
        f"Epoch 1: finished saving model to {path}",
        f"Epoch 2: val_loss improved from 3.00000 to 2.00000, saving model to {path}",
        f"Epoch 2: finished saving model to {path}",
        "Epoch 3: val_loss did not improve from 2.00000",
    ]


def test_best_of_something_that_is_no_scalar_is_saved_with_a_warning(tmp_path):
    checkpoint = cb.ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    with pytest.warns(UserWarning, match="only if 'val_loss' is a scalar"):
        assert run(checkpoint, [{"val_loss": np.ones(2)}]).saved == ["m.keras"]


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("model", {}, "must end in `.keras` or `.h5`"),
        ("model.keras", {"save_weights_only": True}, "must end in `.weights.h5`"),
        ("model.h5", {"save_weights_only": True}, "must end in `.weights.h5`"),
        ("model.keras", {"save_freq": "batch"}, "Unrecognized save_freq: 'batch'"),
        ("model.keras", {"save_freq": 0}, "Unrecognized save_freq: 0"),
    ],
)
def test_checkpoint_arguments(name, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        cb.ModelCheckpoint(name, **arguments)


def test_checkpoint_with_a_name_that_is_not_logged(tmp_path):
    checkpoint = cb.ModelCheckpoint(tmp_path / "{epoch}-{mape:.2f}.keras")
    with pytest.raises(
        KeyError, match=r"Failed to format this callback filepath.*needs 'mape'.*epoch, val_loss"
    ) as error:
        run(checkpoint, LOSSES)
    assert isinstance(error.value, ArgumentError) and not str(error.value).startswith('"')


def test_checkpoint_into_a_folder(tmp_path):
    (tmp_path / "m.keras").mkdir()
    with pytest.raises(OSError, match="must name a file"):
        run(cb.ModelCheckpoint(tmp_path / "m.keras"), LOSSES)


# --- learning rates -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, numbers, rates",
    [
        ({"patience": 1}, (1.0, 1.0, 1.0), (0.1, 0.1, 0.01)),
        ({"patience": 1}, (1.0, 0.9, 0.8), (0.1, 0.1, 0.1)),
        ({"patience": 2, "factor": 0.5}, (1.0, 1.0, 1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.1, 0.05, 0.05, 0.025)),
        ({"patience": 1, "min_delta": 0.5}, (1.0, 0.9, 0.4), (0.1, 0.1, 0.01)),
        ({"patience": 1, "cooldown": 2, "factor": 0.5}, (1.0,) * 6, (0.1, 0.1, 0.05, 0.05, 0.025, 0.025)),
        ({"patience": 1, "min_lr": 0.05}, (1.0,) * 4, (0.1, 0.1, 0.05, 0.05)),
        ({"patience": 1, "mode": "max"}, (1.0, 2.0, 2.0, 2.0), (0.1, 0.1, 0.1, 0.01)),
        ({"patience": 1, "monitor": "accuracy"}, (0.5, 0.6, 0.6, 0.6), (0.1, 0.1, 0.1, 0.01)),
    ],
)
def test_reduce_on_plateau(arguments, numbers, rates):
    reduce = cb.ReduceLROnPlateau(**{"monitor": "val_loss", **arguments})
    for _ in range(2):
        model = run(reduce, values(reduce.monitor, *numbers))
        assert model.history.history["learning_rate"] == pytest.approx(rates)


def test_the_least_learning_rate_is_reached_once(capsys):
    run(cb.ReduceLROnPlateau(patience=1, min_lr=0.005, verbose=1), values("val_loss", *[1.0] * 6))
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.010000000149011612.",
        "Epoch 3: ReduceLROnPlateau reducing learning rate to 0.005.",
    ]


def test_several_optimizers():
    model = Model()
    model.optimizer = SimpleNamespace(optimizers=[Optimizer(0.1, "head"), Optimizer(0.01, "body")])
    run(cb.ReduceLROnPlateau(patience=1), values("val_loss", 1.0, 1.0), model)
    assert model.history.history.keys() == {"val_loss", "learning_rate_head", "learning_rate_body"}
    run(cb.LearningRateScheduler(lambda epoch, lr: lr * 10), [{}], model)
    assert [float(o.learning_rate) for o in model.optimizer.optimizers] == pytest.approx([0.1, 0.01])


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"factor": 1.0}, ArgumentError, "does not support a factor >= 1.0. Received: factor=1.0"),
        ({"epsilon": 0.1}, ArgumentTypeError, "no argument 'epsilon'. `epsilon` is called `min_delta` now"),
        ({"patient": 1}, ArgumentTypeError, "no argument 'patient'"),
    ],
)
def test_reduce_on_plateau_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        cb.ReduceLROnPlateau(**arguments)


@pytest.mark.parametrize(
    "schedule, rates",
    [
        (lambda epoch: 1 / (2.0 + epoch), (0.5, 1 / 3)),
        (lambda epoch, lr: lr / 2, (0.05, 0.025)),
        (lambda epoch, lr=7.0: lr / 2, (0.05, 0.025)),
        (lambda epoch: np.float32(0.5), (0.5, 0.5)),
        (lambda epoch: np.asarray(0.5), (0.5, 0.5)),
        (lambda epoch: 1, (1.0, 1.0)),
        (max, (0.1, 1.0)),
    ],
)
def test_learning_rate_scheduler(schedule, rates, capsys):
    model = run(cb.LearningRateScheduler(schedule, verbose=1), values("loss", 1.0, 1.0))
    assert model.history.history["learning_rate"] == pytest.approx(rates)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Epoch 1: LearningRateScheduler setting learning rate to ") and second.startswith(
        "Epoch 2"
    )


@pytest.mark.parametrize("value", [None, "0.1", True, np.ones(2)])
def test_schedule_that_returns_no_number(value):
    with pytest.raises(ArgumentError, match="The output of the `schedule` function should be a float"):
        run(cb.LearningRateScheduler(lambda epoch: value), [{}])


def test_errors_inside_a_schedule_are_not_hidden():
    def schedule(epoch, lr):
        return lr + None

    with pytest.raises(TypeError, match="unsupported operand"):
        run(cb.LearningRateScheduler(schedule), [{}])


# --- files and servers ----------------------------------------------------------------------------


def rows(path, separator=","):
    return list(csv.reader(path.read_text().splitlines(), delimiter=separator))


def test_csv_logger_writes_every_epoch_at_once(tmp_path):
    path = tmp_path / "run" / "log.csv"
    after = []
    watch = cb.LambdaCallback(
        on_epoch_end=lambda epoch, logs: after.append(len(path.read_text().splitlines()))
    )
    run([cb.CSVLogger(path), watch], [{"loss": 0.5, "acc": 1.0}, {"loss": 0.25, "acc": NAN, "val_loss": 2.0}])
    assert after == [2, 3]
    assert rows(path) == [
        ["epoch", "acc", "loss", "val_acc", "val_loss"],
        ["0", "1.0", "0.5", "NA", "NA"],
        ["1", "nan", "0.25", "NA", "2.0"],
    ]


def test_csv_logger_appends_or_starts_anew(tmp_path):
    path = tmp_path / "log.csv"
    for append, lines in ((False, 2), (True, 3), (True, 4), (False, 2), (True, 3)):
        logger = cb.CSVLogger(path, separator=";", append=append)
        run(logger, [{"loss": 0.5, "val_loss": 1.0}])
        assert len(rows(path)) == lines and rows(path, ";")[0] == ["epoch", "loss", "val_loss"]
    assert logger.csv_file is None
    run(logger, [{"loss": 0.5, "val_loss": 1.0}])  # the same object again
    assert len(rows(path)) == 4


def test_csv_logger_writes_vectors(tmp_path):
    run(cb.CSVLogger(tmp_path / "log.csv"), [{"per_class": np.array([0.5, 1.0]), "val_loss": 1.0}])
    assert rows(tmp_path / "log.csv")[1] == ["0", '"[0.5, 1.0]"', "1.0"]


@pytest.fixture
def requests(monkeypatch):
    """A stand-in for the library."""

    class RequestException(OSError):  # noqa: N818 (the library's name)
        pass

    fake = SimpleNamespace(sent=[], exceptions=SimpleNamespace(RequestException=RequestException))
    fake.post = lambda *a, **k: fake.sent.append((a, k))
    monkeypatch.setitem(sys.modules, "requests", fake)
    return fake


@pytest.mark.parametrize("as_json", [True, False])
def test_remote_monitor(as_json, requests):
    monitor = cb.RemoteMonitor("http://here", "/x/", "field", {"key": "1"}, send_as_json=as_json)
    monitor.on_epoch_end(3, {"loss": np.float32(0.5), "one": np.arange(1)})
    (address,), sent = requests.sent[0]
    assert address == "http://here/x/" and sent["headers"] == {"key": "1"}
    body = sent["json"] if as_json else json.loads(sent["data"]["field"])
    assert body == {"epoch": 3, "loss": 0.5, "one": 0}


def test_remote_monitor_that_is_not_reached_warns(requests):
    def post(*arguments, **named):
        raise requests.exceptions.RequestException("refused")

    requests.post = post
    with pytest.warns(
        UserWarning, match="Could not reach RemoteMonitor root server at http://localhost:9000"
    ):
        cb.RemoteMonitor().on_epoch_end(0, {"loss": 1.0})


def test_remote_monitor_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(
        OptionalDependencyError, match=r"callbacks\.RemoteMonitor needs the library `requests`"
    ):
        cb.RemoteMonitor().on_epoch_end(0)


# --- NaN ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_terminate_on_nan(bad, capsys):
    model = run(
        cb.TerminateOnNaN(), values("loss", 1.0, 1.0, 1.0), batches=4, batch_logs={(1, 2): {"loss": bad}}
    )
    assert model.stop_training and model.history.epoch == [0, 1]
    assert capsys.readouterr().out == "Batch 2: Invalid loss, terminating training\n"


def test_terminate_on_nan_raises_before_the_end():
    ended = []
    callbacks = [cb.LambdaCallback(on_train_end=ended.append), cb.TerminateOnNaN(raise_error=True)]
    with pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch 1"):
        run(callbacks, [{}], batches=3, batch_logs={(0, 1): {"loss": NAN}})
    assert ended == []


# --- the reference --------------------------------------------------------------------------------


def test_signatures_are_the_references():
    path = Path(__file__).parents[3] / "shared" / "api" / "keras-3.15.1.json"
    if not path.exists():
        pytest.skip("the table of the reference's public names isn't here")
    reference = json.loads(path.read_text())
    from triceras.core import registry

    mine = registry._public["callbacks"] | {"Progbar": registry._public["utils"]["Progbar"]}
    for name, kind in mine.items():
        theirs = reference[f"utils.{name}" if name == "Progbar" else f"callbacks.{name}"]
        parameters = inspect.signature(kind).parameters.values()
        plain = ", ".join(str(p.replace(annotation=p.empty)) for p in parameters)
        assert f"({plain})" == theirs["signature"].replace(": bool = ", "="), name
        for method, signature in theirs["methods"].items():
            if name == "ProgbarLogger" and "batch" in method:
                continue  # it follows dispatches instead
            found = inspect.signature(getattr(kind, method)).parameters.values()
            assert f"({', '.join(str(p.replace(annotation=p.empty)) for p in found)})" == signature, (
                name,
                method,
            )
