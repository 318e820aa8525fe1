"""Balanced sampling: classes come equally often, as do the samples of each, and alike on every engine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triceras
from triceras import layers
from triceras.core.errors import ArgumentError, ArgumentTypeError
from triceras.training.dataset import IndexedDataset, PyDataset
from triceras.training.feed import make_feed
from triceras.utils import balanced_indices

Y = np.array([0] * 17 + [1] * 5 + [2] * 3)
X = np.arange(25, dtype="float32")[:, None]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 3), st.integers(0, 2**40))
def test_classes_and_their_samples_come_equally_often(counts, epoch, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    drawn = balanced_indices(labels, epoch, seed)
    assert len(drawn) == len(labels) and np.array_equal(drawn, balanced_indices(labels, epoch, seed))
    by_class = np.bincount(labels[drawn], minlength=len(counts))
    assert by_class.max() - by_class.min() <= 1
    for low in range(0, len(drawn) - len(counts) + 1, len(counts)):  # so that each batch is even, too
        assert len(set(labels[drawn[low : low + len(counts)]])) == len(counts)
    all_epochs = np.concatenate([balanced_indices(labels, e, seed) for e in range(4)])
    for kind in range(len(counts)):
        times = np.bincount(all_epochs[labels[all_epochs] == kind], minlength=len(labels))[labels == kind]
        assert times.max() - times.min() <= 1


def test_epochs_and_seeds_differ():
    orders = [balanced_indices(Y, epoch, seed).tolist() for epoch in (0, 1) for seed in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize(
    "labels",
    [Y, Y.tolist(), Y[:, None], Y.astype("float32"), np.eye(3)[Y], Y * 7 - 5, Y == 0],
    ids=["integers", "list", "column", "floats", "one-hot", "gaps", "bool"],
)
def test_forms_of_labels(labels):
    drawn = Y[balanced_indices(labels)]
    counts = np.bincount(drawn == 0) if np.asarray(labels).dtype == bool else np.bincount(drawn)
    assert counts.max() - counts.min() <= 1


class Mine(PyDataset):
    """Knows batches alone, and the labels."""

    def __init__(self, labels=Y, **options):
        super().__init__(**options)
        self.labels = labels

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return {"a": X[index * 4 :][:4]}, Y[index * 4 :][:4]


class Numbered(IndexedDataset):
    def gather(self, rows, random):
        return X[rows] + random.random(), Y[rows]


def labels_of(feed, epoch=0):
    try:
        return np.concatenate([np.asarray(batch[1]) for batch in feed.epoch(epoch)])
    finally:
        feed.close()


SOURCES = {
    "arrays": lambda: (X, Y),
    "one-hot": lambda: (X, np.eye(3, dtype="float32")[Y]),
    "dataset": lambda: (Mine(),),
    "dataset, threads": lambda: (Mine(workers=3),),
    "indexed": lambda: (Numbered(25, 4, labels=Y),),
    "indexed, shuffled": lambda: (Numbered(25, 4, shuffle=True, labels=Y, workers=3),),
    "torch": lambda: tuple(map(pytest.importorskip("torch").from_numpy, (X, Y))),
}


@pytest.mark.filterwarnings("ignore:The data ran out")
@pytest.mark.parametrize("name", SOURCES)
def test_every_source(name):
    def made(epoch, **options):
        source = SOURCES[name]()
        if len(source) == 2:
            options["batch_size"] = 4
        found = labels_of(make_feed(*source, shuffle=True, seed=3, balance=True, **options), epoch)
        return found.argmax(axis=1) if found.ndim == 2 else found

    assert np.bincount(made(0)).tolist() in ([9, 8, 8], [8, 9, 8], [8, 8, 9])
    assert made(0).tolist() == Y[balanced_indices(Y, 0, 3)].tolist()
    assert made(1).tolist() != made(0).tolist()
    halves = np.concatenate([made(epoch, steps=4) for epoch in (0, 1)])  # an epoch may be a part of a pass
    assert halves.tolist() == made(0).tolist()


def test_weights_of_samples_stay_with_them():
    feed = make_feed(X, Y, X[:, 0], shuffle=True, balance=True)
    (x, _, w) = next(iter(feed.epoch(0)))
    assert np.array_equal(x[:, 0], w)


@pytest.mark.parametrize(
    ("source", "options", "error", "match"),
    [
        ((X,), {}, ArgumentError, "`x` alone has none"),
        ((X, (Y, Y)), {}, ArgumentError, "one output"),
        ((X, X + 0.5), {}, ArgumentError, "integers"),
        ((X, np.ones((25, 3))), {}, ArgumentError, "one-hot"),
        ((X, Y), {"class_weight": {0: 1.0}}, ArgumentError, "Pass one of them"),
        ((X, Y), {"shuffle": False}, ArgumentError, "shuffle"),
        ((X, Y), {"shuffle": "batch"}, ArgumentError, "shuffle"),
        ((iter([(X, Y)]),), {}, ArgumentError, "needs the class of each sample"),
        ((Mine(labels=None),), {}, ArgumentError, "attribute `labels`"),
        ((Mine(labels=Y[:9]),), {}, ArgumentError, "7 batches of 4, but 9 labels"),
        ((Mine(labels=["a"] * 25),), {}, ArgumentTypeError, "numbers"),
    ],
)
def test_what_cannot_be_balanced_says_why(source, options, error, match):
    with pytest.raises(error, match=match):
        make_feed(*source, **{"shuffle": True, "balance": True} | options)


def test_loaders_draw_themselves():
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    weights = (1 / np.bincount(Y))[Y]
    sampler = data.WeightedRandomSampler(weights, 600, generator=torch.Generator().manual_seed(0))
    loader = data.DataLoader(
        data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=30, sampler=sampler
    )
    counts = np.bincount(labels_of(make_feed(loader, shuffle=True)))
    assert counts.min() > 150
    loader.labels = Y
    with pytest.raises(ArgumentError, match="WeightedRandomSampler"):
        make_feed(loader, shuffle=True, balance=True)


def test_fit_draws_the_same_samples_on_every_engine():
    found = {"arrays": [], "data set": []}
    for engine in ("jax", "torch", "tensorflow"):
        pytest.importorskip(engine)
        with triceras.use_engine(engine):
            for name, source in (("arrays", (X / 25, Y)), ("data set", (Numbered(25, 5, labels=Y, seed=4),))):
                model = triceras.Sequential([layers.Input((1,)), layers.Dense(3, kernel_initializer="zeros")])
                loss = triceras.losses.SparseCategoricalCrossentropy(from_logits=True)
                model.compile(triceras.optimizers.SGD(0.1), loss)
                np.random.seed(0)
                options = {"batch_size": 5} if len(source) == 2 else {}
                model.fit(*source, epochs=3, verbose=0, balance=True, **options)
                found[name].append(model.layers[-1].bias.numpy())
                with pytest.raises(ArgumentError, match="balance"):
                    model.fit(*source, verbose=0, balance=True, class_weight={0: 1.0})
                if name == "arrays":  # what is held out is not balanced
                    model.fit(*source, verbose=0, balance=True, validation_split=0.2)
    for biases in found.values():
        np.testing.assert_allclose(biases, [biases[0]] * 3, atol=1e-5)
