"""Callbacks that keep the state of a training, its averages, and its numbers for TensorBoard."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

import triceras
from triceras import callbacks, layers, optimizers
from triceras.core.errors import ArgumentError, StateError
from triceras.saving.weights import WeightsMismatchError

ENGINES = ("jax", "torch", "tensorflow")
X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


class Crash(callbacks.Callback):
    """Stops a training as a power cut would."""

    def __init__(self, epoch=None, batch=None):
        super().__init__()
        self.epoch, self.batch = epoch, batch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch and self.batch is None:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch, logs=None):
        if self.batch == batch:
            raise KeyboardInterrupt


def model(optimizer="adam", units=3):
    made = triceras.Sequential(
        [layers.Input((4,)), layers.Dense(units, "tanh"), layers.Dropout(0.3, seed=5), layers.Dense(1)]
    )
    made.compile(optimizer, "mse")
    return made


def fit(made, epochs=4, callbacks=(), **options):
    triceras.utils.set_random_seed(3)
    return made.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)


@pytest.fixture
def fresh():
    """A model as a new process would make it."""

    def make(**options):
        triceras.backend.clear_session()
        triceras.utils.set_random_seed(3)
        return model(**options)

    return make


# -- BackupAndRestore --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupted_training_ends_as_if_it_had_not_been(engine, fresh, tmp_path):
    with triceras.use_engine(engine):
        whole = fresh()
        history = fit(whole)
        with pytest.raises(KeyboardInterrupt):
            fit(fresh(), callbacks=[callbacks.BackupAndRestore(tmp_path / "b"), Crash(epoch=2)])
        again = fresh()
        rest = fit(again, callbacks=[callbacks.BackupAndRestore(tmp_path / "b")])
    assert rest.epoch == [3]
    assert np.isclose(rest.history["loss"][0], history.history["loss"][3], rtol=1e-6)
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(("double", "files"), [(False, 1), (True, 2)])
def test_files(double, files, fresh, tmp_path):
    kept = callbacks.BackupAndRestore(tmp_path, double_checkpoint=double, delete_checkpoint=False)
    (tmp_path / "mine.txt").write_text("stays")
    fit(fresh(), epochs=3, callbacks=[kept])
    assert len(list(tmp_path.glob("*.weights.h5"))) == files
    done = fresh()
    assert fit(done, epochs=3, callbacks=[callbacks.BackupAndRestore(tmp_path)]).epoch == []
    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]


def test_backup_of_batches_begins_the_epoch_anew(fresh, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(fresh(), callbacks=[callbacks.BackupAndRestore(tmp_path, save_freq=4), Crash(batch=2, epoch=1)])
    listed = (
        json.loads((tmp_path / "training.json").read_text())["backups"] if list(tmp_path.iterdir()) else []
    )
    assert listed == []  # three batches only
    with pytest.raises(KeyboardInterrupt):
        fit(fresh(), callbacks=[callbacks.BackupAndRestore(tmp_path, save_freq=2), Crash(batch=2)])
    (entry,) = json.loads((tmp_path / "training.json").read_text())["backups"]
    assert (entry["epoch"], entry["batch"]) == (0, 2)
    assert fit(fresh(), callbacks=[callbacks.BackupAndRestore(tmp_path)]).epoch == [0, 1, 2, 3]


def test_a_broken_backup_gives_way_to_the_one_before(fresh, tmp_path):
    def keep():
        return callbacks.BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)

    fit(fresh(), epochs=2, callbacks=[keep()])
    (tmp_path / "epoch-2-batch-0.weights.h5").write_bytes(b"cut off")
    with pytest.warns(UserWarning, match="can't be read and is left out"):
        assert fit(fresh(), callbacks=[keep()]).epoch == [1, 2, 3]
    (tmp_path / "training.json").write_text("{")
    with pytest.warns(UserWarning, match="begins anew"):
        assert len(fit(fresh(), callbacks=[keep()]).epoch) == 4


def test_a_backup_of_another_model_is_an_error(fresh, tmp_path):
    fit(fresh(), epochs=1, callbacks=[callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)])
    with pytest.raises(WeightsMismatchError):
        fit(fresh(units=5), callbacks=[callbacks.BackupAndRestore(tmp_path)])


def test_a_list_that_names_files_elsewhere_is_kept_in_its_folder(fresh, tmp_path):
    secret = tmp_path / "other.weights.h5"
    fresh().save_weights(secret)
    folder = tmp_path / "backup"
    folder.mkdir()
    entry = {"file": str(secret), "epoch": 1, "batch": 0, "random": []}
    (folder / "training.json").write_text(json.dumps({"backups": [entry]}))
    with pytest.warns(UserWarning, match="left out"):
        assert len(fit(fresh(), epochs=2, callbacks=[callbacks.BackupAndRestore(folder)]).epoch) == 2
    assert secret.exists()


@pytest.mark.parametrize(
    "arguments", [("",), ("b", "batch"), ("b", 0), ("b", 1.5), ("b", True), ("b", False)]
)
def test_wrong_arguments_of_backups(arguments):
    with pytest.raises(ArgumentError):
        callbacks.BackupAndRestore(*arguments)


# -- SwapEMAWeights ----------------------------------------------------------------------------------------------------


class Watch(callbacks.Callback):
    """Notes the first weight at each moment."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def _note(self, *_):
        self.seen.append(float(self.model.layers[0].kernel.numpy()[0, 0]))

    on_test_begin = on_test_end = on_epoch_end = on_epoch_begin = on_predict_begin = on_predict_end = _note


def averaging(kind):
    if kind == "scaled":
        return optimizers.LossScaleOptimizer(averaging("plain"), initial_scale=1.0)
    if kind == "several":
        return optimizers.MultiOptimizer(
            optimizers.OptimizerMap(averaging("plain"), {"none": optimizers.SGD()})
        )
    return optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["plain", "scaled", "several"])
def test_averages_are_in_place_where_they_are_looked_at(kind, engine, fresh):
    with triceras.use_engine(engine):
        watch = Watch()
        made = fresh(optimizer=averaging(kind))
        fit(made, 2, [callbacks.SwapEMAWeights(), watch], validation_data=(X, Y))
        _, average, weight, weight_too, *_ = watch.seen
        assert weight == weight_too != average
        plain = fresh(optimizer=averaging(kind))
        fit(plain, 2)
        np.testing.assert_allclose(made.get_weights()[0], plain.get_weights()[0], rtol=1e-5)


def test_averages_of_epochs_can_be_saved(fresh, tmp_path):
    watch, made = Watch(), fresh(optimizer=averaging("plain"))
    saved = callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True)
    fit(made, 2, [callbacks.SwapEMAWeights(swap_on_epoch=True), watch, saved])
    begun, averaged, begun_too, averaged_too = watch.seen
    assert len({begun, averaged, begun_too, averaged_too}) == 4
    # The average stays after the last epoch
    assert float(made.layers[0].kernel.numpy()[0, 0]) == averaged_too
    other = fresh(optimizer=None)
    other.load_weights(tmp_path / "1.weights.h5")
    assert float(other.layers[0].kernel.numpy()[0, 0]) == averaged


def test_averages_in_predictions(fresh):
    made, watch = fresh(optimizer=averaging("plain")), Watch()
    fit(made, 1)
    made.layers[0].kernel.assign(made.layers[0].kernel.numpy() + 1)
    made.predict(X, verbose=0, callbacks=[callbacks.SwapEMAWeights(), watch])
    assert watch.seen[1] - watch.seen[0] == pytest.approx(1)


def test_averages_need_an_optimizer_that_keeps_them(fresh):
    with pytest.raises(StateError, match="use_ema=True"):
        fit(fresh(), callbacks=[callbacks.SwapEMAWeights()])


# -- TensorBoard -------------------------------------------------------------------------------------------------------


def logged(folder):
    """What the files of a folder hold: the steps of each number, and the tags of everything else by kind."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    scalars, tags = {}, {"histo": [], "image": [], "tensor": []}
    for file in sorted(folder.glob("events.*")):
        data = file.read_bytes()
        while data:  # length, its checksum, an event, its checksum
            (size,) = struct.unpack("<Q", data[:8])
            event, data = event_pb2.Event.FromString(data[12 : 12 + size]), data[16 + size :]
            for value in event.summary.value:
                kind = value.WhichOneof("value")
                if kind == "simple_value":
                    scalars.setdefault(value.tag, []).append(event.step)
                elif value.tag not in tags[kind]:
                    tags[kind].append(value.tag)
    return scalars, tags


def board(*arguments, **options):
    pytest.importorskip("tensorboardX")
    return callbacks.TensorBoard(*arguments, **options)


def test_numbers_of_epochs(fresh, tmp_path):
    made, shown = fresh(), board(tmp_path)
    assert not callbacks.CallbackList(shown).listens_to_batches("train")
    fit(made, 2, [shown], validation_data=(X, Y))
    made.evaluate(X, Y, verbose=0, callbacks=[shown])
    train, tags = logged(tmp_path / "train")
    assert train == {"epoch_loss": [0, 1], "epoch_learning_rate": [0, 1]} and tags["tensor"] == ["keras"]
    validation, _ = logged(tmp_path / "validation")
    assert validation == {"epoch_loss": [0, 1], "evaluation_loss_vs_iterations": [3, 6, 6]}


def test_numbers_of_batches_weights_and_embeddings(tmp_path):
    shown = board(
        tmp_path,
        update_freq=2,
        histogram_freq=2,
        write_images=True,
        write_steps_per_second=True,
        write_graph=False,
        embeddings_freq=1,
        embeddings_metadata={"words": "words.tsv"},
    )
    (tmp_path / "words.tsv").write_text("\n".join("abcdefg"))
    made = triceras.Sequential(
        [
            layers.Input((4,)),
            layers.Embedding(7, 3, name="words"),
            layers.Conv1D(2, 2),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    made.compile("sgd", "mse")
    made.fit(np.abs(X).astype("int32") % 7, Y, batch_size=8, epochs=2, verbose=0, callbacks=[shown])
    train, tags = logged(tmp_path / "train")
    assert train["batch_loss"] == train["batch_steps_per_second"] == [2, 4, 6]
    assert train["epoch_steps_per_second"] == [0, 1] and "keras" not in tags["tensor"]
    assert tags["histo"] == [f"{w.path}/histogram" for w in made.weights]
    assert tags["image"] == [f"{w.path}/image" for w in made.weights]
    table = np.loadtxt(tmp_path / "train" / "00001" / "words" / "tensors.tsv")
    np.testing.assert_allclose(table, made.get_layer("words").embeddings.numpy(), rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_profile_of_batches(engine, fresh, tmp_path):
    with triceras.use_engine(engine):
        fit(fresh(), 1, [board(tmp_path, profile_batch=(2, 3))])
    found = [f.name for f in (tmp_path / "train").rglob("*") if f.suffix in (".pb", ".json")]
    assert found


def test_metadata_of_an_unknown_layer(fresh, tmp_path):
    with pytest.raises(ArgumentError, match="nowhere"):
        fit(fresh(), 1, [board(tmp_path, embeddings_freq=1, embeddings_metadata={"nowhere": "f"})])


@pytest.mark.parametrize(
    "options",
    [{"update_freq": "batches"}, {"update_freq": 0}, {"histogram_freq": -1}, {"embeddings_freq": 0.5}]
    + [{"profile_batch": p} for p in (-1, (3, 2), "a", (1, 2, 3), None)],
)
def test_wrong_arguments_of_tensorboard(options):
    with pytest.raises(ArgumentError):
        callbacks.TensorBoard("logs", **options)


@pytest.mark.parametrize(("given", "batches"), [(0, None), (2, (2, 2)), ("2,5", (2, 5)), ([2, 5], (2, 5))])
def test_profiled_batches(given, batches):
    assert callbacks.TensorBoard(profile_batch=given)._profiled == batches
