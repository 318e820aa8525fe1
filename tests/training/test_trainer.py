"""compile, fit, evaluate, predict and their kin."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import triceras as keras
from triceras import layers, ops
from triceras.core.errors import ArgumentError, EngineError, StateError

rng = np.random.default_rng(0)
X = rng.normal(size=(70, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int32") + (X[:, 2] > 1)
ONE_HOT = np.eye(3, dtype="float32")[Y]


def classifier(seed: int = 3, dropout: float = 0.0, **compile_arguments) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            layers.Input(shape=(6,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(3, activation="softmax"),
        ]
    )
    arguments = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    model.compile(**(arguments | compile_arguments))
    return model


class Listener(keras.callbacks.Callback):
    """Hears every batch, so that every step is a dispatch of its own."""

    def __init__(self):
        super().__init__()
        self.batches, self.losses = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)
        self.losses.append(logs["loss"])


def train(model, **arguments) -> dict[str, list[float]]:
    """Fit in an order of the data that is the same for every model."""
    keras.utils.set_random_seed(11)
    return model.fit(X, Y, verbose=0, **arguments).history


def assert_same_weights(a, b, **tolerance) -> None:
    for v, w in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(v, w, **({"rtol": 1e-5, "atol": 1e-6} | tolerance))


def test_training_learns_and_history_is_complete() -> None:
    model = classifier()
    history = model.fit(X, Y, epochs=30, batch_size=10, validation_split=0.2, verbose=0)
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert all(len(v) == 30 and all(isinstance(x, float) for x in v) for v in history.history.values())
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    assert history.epoch == list(range(30)) and model.history is history


def test_supersteps_give_the_same_numbers_as_single_steps() -> None:
    alone, many = classifier(dropout=0.3), classifier(dropout=0.3)
    listener = Listener()
    a = train(alone, epochs=3, batch_size=8, callbacks=[listener])
    b = train(many, epochs=3, batch_size=8)
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5)
    assert_same_weights(alone, many)
    assert listener.batches == [*range(9)] * 3


def test_the_epochs_loss_is_the_loss_over_all_samples() -> None:
    model = classifier(optimizer=keras.optimizers.SGD(0.0))
    logs = model.fit(X, Y, batch_size=32, verbose=0).history
    loss, accuracy = model.evaluate(X, Y, batch_size=7, verbose=0)
    assert logs["loss"][0] == pytest.approx(loss, rel=1e-5) and logs["accuracy"][0] == pytest.approx(
        accuracy, rel=1e-5
    )
    probabilities = model.predict(X, verbose=0)
    assert loss == pytest.approx(-np.log(probabilities[np.arange(70), Y]).mean(), rel=1e-4)


def test_a_seed_repeats_a_run() -> None:
    runs = []
    for _ in range(2):
        model = classifier(dropout=0.5)
        runs.append(model.fit(X, Y, epochs=2, verbose=0).history["loss"])
    assert runs[0] == runs[1]


def test_eager_equals_compiled() -> None:
    a, b = classifier(run_eagerly=True), classifier()
    train(a, epochs=2)
    train(b, epochs=2)
    assert_same_weights(a, b, rtol=1e-4, atol=1e-5)


SOURCES = {
    "numpy": lambda: ((X, Y), {}),
    "lists": lambda: ((X.tolist(), Y.tolist()), {}),
    "one-hot": lambda: ((X, ONE_HOT), {}),
    "generator": lambda: ((itertools.cycle([(X[:35], Y[:35]), (X[35:], Y[35:])]),), {"steps_per_epoch": 2}),
    "weights": lambda: ((X, Y), {"sample_weight": np.ones(70)}),
    "classes": lambda: ((X, Y), {"class_weight": {0: 1.0, 1: 2.0, 2: 1.0}}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources(name) -> None:
    args, kwargs = SOURCES[name]()
    model = classifier(loss="categorical_crossentropy") if name == "one-hot" else classifier()
    assert np.isfinite(model.fit(*args, verbose=0, **kwargs).history["loss"]).all()


def test_engine_tensors_frames_and_loaders() -> None:
    model = classifier()
    jnp = pytest.importorskip("jax.numpy")
    pandas = pytest.importorskip("pandas")
    torch = pytest.importorskip("torch")
    tensors = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    for source in (
        (jnp.asarray(X), jnp.asarray(Y)),
        (pandas.DataFrame(X), pandas.Series(Y)),
        (torch.tensor(X), torch.tensor(Y)),
        (torch.utils.data.DataLoader(tensors, batch_size=16),),
    ):
        assert np.isfinite(model.fit(*source, verbose=0).history["loss"][0])


def test_class_weight_scales_the_loss() -> None:
    plain = classifier(optimizer=keras.optimizers.SGD(0.0)).fit(X, Y, verbose=0).history["loss"][0]
    doubled = classifier(optimizer=keras.optimizers.SGD(0.0)).fit(
        X, Y, verbose=0, class_weight={0: 2.0, 1: 2.0, 2: 2.0}
    )
    assert doubled.history["loss"][0] == pytest.approx(2 * plain, rel=1e-5)


def test_validation_data_frequency_and_initial_epoch() -> None:
    history = classifier().fit(
        X, Y, epochs=6, initial_epoch=2, validation_data=(X[:20], Y[:20]), validation_freq=2, verbose=0
    )
    assert len(history.history["loss"]) == 4 and len(history.history["val_loss"]) == 2
    assert history.epoch == [2, 3, 4, 5]


def test_on_batch_methods() -> None:
    model = classifier()
    loss, accuracy = model.train_on_batch(X, Y)
    assert 0 <= accuracy <= 1 and loss > 0
    assert sorted(model.test_on_batch(X, Y, return_dict=True)) == ["accuracy", "loss"]
    np.testing.assert_allclose(
        model.predict_on_batch(X), model.predict(X, batch_size=9, verbose=0), rtol=1e-5
    )


def test_predict_keeps_the_outputs_structure() -> None:
    x = keras.Input(shape=(6,))
    model = keras.Model(x, {"a": layers.Dense(2)(x), "b": [layers.Dense(3)(x), x]})
    out = model.predict(X, batch_size=16, verbose=0)
    assert out["a"].shape == (70, 2) and out["b"][0].shape == (70, 3)
    np.testing.assert_array_equal(out["b"][1], X)


def test_several_outputs() -> None:
    x = keras.Input(shape=(6,))
    hidden = layers.Dense(8, activation="relu")(x)
    model = keras.Model(
        x, {"kind": layers.Dense(3, name="kind")(hidden), "size": layers.Dense(1, name="size")(hidden)}
    )
    model.compile(
        "adam",
        loss={"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.5},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
    )
    history = model.fit(X, {"kind": Y, "size": X[:, :1]}, epochs=2, verbose=0).history
    assert {"loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"} <= set(history)
    assert history["loss"][0] == pytest.approx(
        history["kind_loss"][0] + 0.5 * history["size_loss"][0], rel=1e-4
    )


def test_custom_train_step_without_engine_code() -> None:
    class Custom(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)
            self.loss_tracker = keras.metrics.Mean(name="my_loss")

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            x, y = data

            def forward():
                logits = self(x, training=True)
                return ops.mean(keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True))

            loss, gradients = keras.value_and_grad(forward, self.trainable_variables)()
            self.optimizer.apply(gradients, self.trainable_variables)
            self.loss_tracker.update_state(loss)
            return {"my_loss": self.loss_tracker.result()}

    model = Custom()
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    losses = model.fit(X, Y, epochs=5, verbose=0).history["my_loss"]
    assert losses[-1] < losses[0]


def test_state_is_live_in_callbacks() -> None:
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((int(self.model.optimizer.iterations), self.model.get_weights()[0].copy()))

    classifier().fit(X, Y, batch_size=10, epochs=2, verbose=0, callbacks=[Look()])
    assert [n for n, _ in seen] == [7, 14] and not np.array_equal(seen[0][1], seen[1][1])


def test_values_held_outside_survive_training() -> None:
    model = classifier()
    held = model.layers[0].kernel.value
    before = np.array(held)
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(np.asarray(held), before)
    assert not np.array_equal(model.layers[0].kernel.numpy(), before)


def test_learning_rate_can_be_changed_while_training() -> None:
    rates = []

    class Halve(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.1 / 2**epoch
            rates.append(float(self.model.optimizer.learning_rate))

    classifier().fit(X, Y, epochs=3, verbose=0, callbacks=[Halve()])
    assert rates == pytest.approx([0.1, 0.05, 0.025])


def test_stop_training_early_and_freezing_between_fits() -> None:
    model = classifier()

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    assert len(model.fit(X, Y, epochs=9, verbose=0, callbacks=[Stop()]).epoch) == 2
    model.layers[0].trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    before = model.layers[0].kernel.numpy()
    model.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)


@pytest.mark.parametrize(
    ("use", "error", "text"),
    [
        (lambda: keras.Sequential([layers.Dense(2)]).fit(X, Y), StateError, "compile"),
        (lambda: classifier().fit(X, Y[:10]), ValueError, "70|10"),
        (lambda: classifier().fit(X[:, :5], Y, verbose=0), ValueError, "5"),
        (lambda: classifier().fit(X, Y.astype(str), verbose=0), (ValueError, TypeError), "str|string|<U"),
        (lambda: classifier().fit(X, ONE_HOT, verbose=0), ValueError, "shape|sparse"),
        (
            lambda: classifier(loss="categorical_crossentropy").fit(X, Y, verbose=0),
            ValueError,
            "sparse|one-hot|categorical",
        ),
        (lambda: classifier(loss="nonsense"), ValueError, "nonsense"),
        (lambda: classifier(optimizer="adamm"), ValueError, "adamm"),
        (lambda: classifier(metrics=["acuracy"]).fit(X, Y, verbose=0), ValueError, "acuracy"),
        (lambda: classifier(steps_per_execution=0), ArgumentError, "steps_per_execution"),
        (lambda: classifier().fit(X[:0], Y[:0], verbose=0), ValueError, "empty|no sample|at least|no batch"),
        (lambda: classifier().evaluate(X, Y, nonsense=1), TypeError, "nonsense"),
    ],
)
def test_mistakes_are_explained(use, error, text) -> None:
    with pytest.raises(error, match=text):
        use()


def test_labels_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="7"):
        classifier().fit(X, np.where(Y == 2, 7, Y), verbose=0)


def test_nan_in_the_data_is_named() -> None:
    broken = X.copy()
    broken[13, 2] = np.nan
    with pytest.warns(UserWarning, match="number 13"):
        classifier().fit(broken, Y, verbose=0)


def test_numpy_engine_predicts_and_refuses_to_train() -> None:
    with keras.use_engine("numpy"):
        model = classifier()
        assert model.predict(X, verbose=0).shape == (70, 3)
        assert len(model.evaluate(X, Y, verbose=0)) == 2
        with pytest.raises(EngineError, match="inference"):
            model.fit(X, Y, verbose=0)


def test_batch_normalization_state_moves_in_supersteps() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Input(shape=(6,)), layers.BatchNormalization(), layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X + 5, Y, batch_size=8, epochs=20, verbose=0)
    mean = model.layers[0].moving_mean.numpy()
    np.testing.assert_allclose(mean, (X + 5).mean(axis=0), rtol=0.2)


def test_a_run_that_failed_leaves_no_trace() -> None:
    model = classifier()
    with pytest.raises(ValueError, match="one-hot"):
        model.fit(X, ONE_HOT, verbose=0)
    assert 0 <= model.fit(X, Y, verbose=0).history["accuracy"][0] <= 1


def test_layers_added_after_compile_are_trained() -> None:
    model = keras.Sequential([layers.Input(shape=(6,)), layers.Dense(4)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :4], verbose=0)
    model.add(layers.Dense(2))
    model.compile("sgd", "mse")
    before = model.layers[-1].kernel.numpy()
    model.fit(X, X[:, :2], verbose=0)
    assert not np.array_equal(before, model.layers[-1].kernel.numpy())


def test_data_is_not_held_after_training() -> None:
    import gc
    import weakref

    class Array(np.ndarray):
        """Unlike plain arrays, these can be referred to weakly."""

    model = classifier()
    data = np.array(X).view(Array)
    held = weakref.ref(data)
    model.fit(data, Y, validation_split=0.1, verbose=0)
    model.evaluate(data, Y, verbose=0)
    del data
    gc.collect()
    assert held() is None
