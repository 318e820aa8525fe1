"""Every kind of source gives the same batches; bad data gives a message; workers leave nothing behind."""

from __future__ import annotations

import collections
import gc
import glob
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triceras.core import config, tree
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, StateError
from triceras.training.dataset import PyDataset
from triceras.training.feed import (
    make_feed,
    pack_x_y_sample_weight,
    split_validation,
    unpack_x_y_sample_weight,
)

pytestmark = pytest.mark.filterwarnings("error")

SAMPLES, SIZE = 10, 4
X = np.arange(SAMPLES * 3, dtype="float32").reshape(SAMPLES, 3)
Y = np.arange(SAMPLES) % 3


def cut(size=SIZE):
    return [(X[low : low + size], Y[low : low + size]) for low in range(0, SAMPLES, size)]


class Batches(PyDataset):
    """The data above; remembers in which thread each batch was made and how often the hooks were called."""

    def __init__(self, batches=None, **options):
        super().__init__(**options)
        self.batches, self.threads, self.hooks = batches or cut(), set(), []

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        self.threads.add(threading.get_ident())
        return self.batches[index]

    def on_epoch_begin(self):
        self.hooks.append("begin")

    def on_epoch_end(self):
        self.hooks.append("end")


class Endless(PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return np.full((2, 1), index)


class Iterable:
    """Any object of the user's with `__iter__`."""

    def __iter__(self):
        return iter(cut())


def torch_loader():
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    return data.DataLoader(data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=SIZE)


def tf_dataset():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(SIZE)


def of_jax():
    jnp = pytest.importorskip("jax.numpy")
    return jnp.asarray(X), jnp.asarray(Y)


def of_torch():
    torch = pytest.importorskip("torch")
    return torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)


def of_tensorflow():
    tf = pytest.importorskip("tensorflow")
    return tf.constant(X), tf.constant(Y)


MEMORY = {
    "numpy": lambda: (X, Y),
    "float64": lambda: (X.astype("float64"), Y),
    "float16": lambda: (X.astype("float16"), Y),
    "big-endian": lambda: (X.astype(">f4"), Y.astype(">i8")),
    "lists": lambda: (X.tolist(), Y.tolist()),
    "tuples": lambda: (tuple(map(tuple, X.tolist())), tuple(Y.tolist())),
    "data frame": lambda: (pytest.importorskip("pandas").DataFrame(X, columns=list("abc")), Y),
    "jax": of_jax,
    "torch": of_torch,
    "tensorflow": of_tensorflow,
}
STREAMS = {
    "generator": lambda: (batch for batch in cut()),
    "iterator": lambda: iter(cut()),
    "lists": lambda: (list(batch) for batch in cut()),
    "iterable": Iterable,
    "deque": lambda: collections.deque(cut()),
    "dataset": Batches,
    "dataset, no thread": lambda: Batches(workers=0),
    "dataset, threads": lambda: Batches(workers=3, max_queue_size=2),
    "dataset, more threads than batches": lambda: Batches(workers=9),
    "torch loader": torch_loader,
    "tf dataset": tf_dataset,
}


def check_epoch(feed, epoch=0):
    found = list(feed.epoch(epoch))
    assert len(found) == len(cut())
    for (x, y), (wanted_x, wanted_y) in zip(found, cut(), strict=True):
        assert type(x) is type(y) is np.ndarray
        assert x.dtype == "float32" and y.dtype.kind == "i" and x.dtype.isnative and y.dtype.isnative
        np.testing.assert_array_equal(x, wanted_x)
        np.testing.assert_array_equal(y, wanted_y)


@pytest.mark.parametrize("kind", MEMORY)
def test_data_in_memory(kind):
    x, y = MEMORY[kind]()
    feed = make_feed(x, y, batch_size=SIZE)
    assert (feed.batch_size, feed.steps) == (SIZE, 3)
    if kind in ("numpy", "jax", "torch", "tensorflow"):
        assert feed.arrays[0] is x and feed.arrays[1] is y
    np.testing.assert_array_equal(feed.order(0), np.arange(SAMPLES))
    for epoch in range(2):
        check_epoch(feed, epoch)


@pytest.mark.parametrize("kind", STREAMS)
def test_streams(kind):
    feed = make_feed(STREAMS[kind](), shuffle=False)
    assert feed.arrays is None and feed.batch_size is None
    assert feed.steps == (None if kind in ("generator", "iterator", "lists", "iterable") else 3)
    check_epoch(feed)
    if kind in ("generator", "iterator", "lists"):
        assert feed.exhausted
        with pytest.warns(UserWarning, match="used up"):
            assert list(feed.epoch(1)) == []
    else:
        assert feed.steps == 3 and not feed.exhausted
        check_epoch(feed, 1)
    feed.close()
    with pytest.raises(StateError, match="order"):
        feed.order(0)


# ---- structures and dtypes


def test_structures_keep_their_form():
    Point = collections.namedtuple("Point", "a b")
    x = {"image": X, "more": [X[:, 0], (Y, None)], "point": Point(Y, [1] * SAMPLES)}
    feed = make_feed(x, [Y, {"n": Y}], Y * 0.5, batch_size=SIZE)
    (bx, by, bw), *_ = feed.epoch(0)
    assert isinstance(bx["more"], list) and isinstance(bx["more"][1], tuple) and bx["more"][1][1] is None
    assert isinstance(bx["point"], Point) and bx["point"].b.tolist() == [1] * SIZE
    assert bx["more"][0].shape == (SIZE,), "one dimension stays one"
    assert tree.map_structure(lambda a: a.dtype.name, bw) == ["float32", {"n": "float32"}], (
        "one weight for all outputs"
    )
    assert by[1]["n"].tolist() == Y[:SIZE].tolist()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "complex64"])
def test_what_is_no_float_keeps_its_dtype(dtype):
    feed = make_feed(X.astype(dtype))
    assert feed.arrays[0].dtype == dtype
    assert next(make_feed(iter([X.astype(dtype)])).epoch(0))[0].dtype == dtype


@pytest.mark.parametrize("floatx", ["float16", "bfloat16", "float64"])
def test_floats_become_floatx(floatx):
    config.set_floatx(floatx)
    try:
        assert make_feed(X, Y).arrays[0].dtype.name == floatx
        assert next(make_feed(iter([X])).epoch(0))[0].dtype.name == floatx
        assert make_feed(X, Y, class_weight={0: 2}).arrays[2].dtype.name == floatx
    finally:
        config.set_floatx("float32")


def test_bfloat16_tensors_of_torch():
    torch = pytest.importorskip("torch")
    assert make_feed(torch.ones(3, dtype=torch.bfloat16)).arrays[0].dtype == "float32"


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": [True, False], "c": pandas.array([3, 4], "Int64")})
    assert make_feed(frame).arrays[0].tolist() == [[1, 1, 3], [2, 0, 4]]
    assert make_feed(frame).arrays[0].dtype == "int64"
    assert make_feed(frame.assign(d=0.5)).arrays[0].dtype == "float32"
    assert make_feed(frame[["b"]]).arrays[0].dtype == "bool"
    assert make_feed(frame["a"], frame["c"]).arrays[1].tolist() == [[3], [4]], "a series is a column"
    with pytest.raises(ArgumentTypeError, match=r"`x`.*'kind': '(object|str)'"):
        make_feed(frame.assign(kind=["cat", "dog"]))
    gaps = pandas.DataFrame(
        {"a": pandas.array([1.5, None], "Float64"), "b": pandas.array([1, None], "Int64")}
    )
    np.testing.assert_array_equal(make_feed(gaps).arrays[0], [[1.5, 1], [np.nan, np.nan]])
    with pytest.raises(ArgumentTypeError, match="can't be turned into"):
        make_feed(pandas.DataFrame({"a": pandas.array([1, None], "Int64")}))


@pytest.mark.parametrize(
    "batch, length",
    [
        (X, 1),
        ((X,), 1),
        ([X], 1),
        ((X, None), 1),
        ((X, Y), 2),
        ([X, Y], 2),
        ((X, Y, Y), 3),
        ((X, None, Y), 3),
        ({"a": X}, 1),
    ],
)
def test_forms_of_a_batch(batch, length):
    for source in (iter([batch]), Batches([batch]), Batches([batch], workers=2)):
        assert len(next(make_feed(source).epoch(0))) == length


def test_public_helpers():
    for data in [(1,), (1, 2), (1, 2, 3)]:
        assert unpack_x_y_sample_weight(list(data)) == (data + (None, None))[:3]
    assert unpack_x_y_sample_weight({"a": 1}) == ({"a": 1}, None, None)
    assert pack_x_y_sample_weight(1, 2, 3) == (1, 2, 3)
    with pytest.raises(ArgumentError, match="x, \\(x,\\), \\(x, y\\)"):
        unpack_x_y_sample_weight((1, 2, 3, 4))


# ---- order, passes and steps


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 70),
    st.none() | st.integers(1, 12),
    st.sampled_from([False, True, "batch"]),
)
def test_every_pass_has_each_sample_once(samples, size, steps, shuffle):
    x = np.arange(samples)
    batches = -(-samples // size)
    with_steps = min(steps or batches, batches)
    feed = make_feed(x, batch_size=size, steps=with_steps, shuffle=shuffle, seed=3)
    assert feed.steps == with_steps
    epochs = -(-batches // with_steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last epoch of a pass may be short
        for first in (0, epochs):
            seen = [x for e in range(first, first + epochs) for (x,) in feed.epoch(e)]
            assert [len(b) for b in seen] == [size] * (samples // size) + [samples % size] * (
                samples % size > 0
            )
            assert sorted(np.concatenate(seen)) == list(range(samples))
            orders = [feed.order(e) for e in range(first, first + epochs)]
            np.testing.assert_array_equal(np.concatenate(orders), np.concatenate(seen))
            assert orders[0].dtype == "int32"
            if shuffle == "batch":
                np.testing.assert_array_equal(
                    np.sort(np.concatenate(orders) // size), np.arange(samples) // size
                )


def test_order_depends_on_seed_and_epoch_alone():
    one, other = (make_feed(X, shuffle=True, seed=s) for s in (1, 2))
    assert (make_feed(X, shuffle=True, seed=1).order(5) == one.order(5)).all()
    assert (one.order(5) != one.order(6)).any() and (one.order(5) != other.order(5)).any()
    np.random.seed(0)
    first = make_feed(X, shuffle=True).order(0)
    np.random.seed(0)
    assert (make_feed(X, shuffle=True).order(0) == first).all()
    assert make_feed(X, shuffle=True, seed=-1).order(0).shape == (SAMPLES,)


def test_order_is_fast():
    feed = make_feed(np.zeros(60_000, "uint8"), shuffle=True, seed=0)
    times = []
    for epoch in range(9):
        start = time.perf_counter()
        feed.order(epoch)
        times.append(time.perf_counter() - start)
    assert sorted(times)[2] < 0.003


def numbers(batches):
    return [int(x[0, 0]) for x, *_ in batches]


SEVEN = [(np.full((2, 1), i), np.zeros(2)) for i in range(7)]


@pytest.mark.parametrize(
    "source",
    [
        lambda: np.repeat(np.arange(7), 2)[:, None],
        lambda: Batches(SEVEN),
        lambda: Batches(SEVEN, workers=2),
        lambda: collections.deque(SEVEN),
    ],
    ids=["arrays", "dataset", "threads", "iterable"],
)
def test_steps_go_on_where_the_last_epoch_stopped_and_a_finite_source_restarts(source):
    x = source()
    size = {"batch_size": 2} if isinstance(x, np.ndarray) else {}
    feed = make_feed(x, steps=3, **size)
    assert feed.steps == 3
    assert numbers(feed.epoch(0)) == [0, 1, 2]
    assert numbers(feed.epoch(1)) == [3, 4, 5]
    with pytest.warns(UserWarning, match="3 steps an epoch were asked for, and this epoch got 1"):
        assert numbers(feed.epoch(2)) == [6]
    assert numbers(feed.epoch(3)) == [0, 1, 2]
    feed = make_feed(source(), steps=7, **size)
    assert [numbers(feed.epoch(e)) for e in range(2)] == [[0, 1, 2, 3, 4, 5, 6]] * 2
    feed = make_feed(source(), steps=9, **size)
    assert feed.steps == 7
    with pytest.warns(UserWarning, match="9 steps"):
        assert len(numbers(feed.epoch(0))) == 7
    assert len(numbers(feed.epoch(1))) == 7, "one warning is enough"


def test_an_iterable_of_unknown_length_restarts():
    class Unsized:
        def __iter__(self):
            return iter(SEVEN[:4])

    feed = make_feed(Unsized(), steps=2)
    assert [numbers(feed.epoch(e)) for e in range(3)] == [[0, 1], [2, 3], [0, 1]]
    with pytest.warns(UserWarning, match="5 steps"):
        assert numbers(make_feed(Unsized(), steps=5).epoch(0)) == [0, 1, 2, 3]


def test_a_generator_is_read_no_further_than_asked():
    source = iter(SEVEN)
    feed = make_feed(source, steps=2)
    assert numbers(feed.epoch(0)) == [0, 1] and numbers(feed.epoch(1)) == [2, 3]
    feed.close()
    assert next(source)[0][0, 0] == 4


def test_a_generator_that_ends_early_ends_training_with_one_warning():
    feed = make_feed(iter(SEVEN), steps=5)
    assert len(list(feed.epoch(0))) == 5 and not feed.exhausted
    with pytest.warns(UserWarning, match="5 steps an epoch were asked for, and this epoch got 2"):
        assert len(list(feed.epoch(1))) == 2
    assert feed.exhausted and list(feed.epoch(2)) == []


def test_an_epoch_may_be_left_early():
    feed = make_feed(iter(SEVEN), steps=5)
    epoch = feed.epoch(0)
    assert numbers(itertools.islice(epoch, 2)) == [0, 1]
    epoch.close()
    assert numbers(feed.epoch(1)) == [2, 3, 4, 5, 6]
    feed = make_feed(collections.deque(SEVEN))
    next(feed.epoch(0))
    assert len(numbers(feed.epoch(1))) == 7


def test_endless_sources_need_steps():
    def forever():
        for i in itertools.count():
            yield np.full((2, 1), i)

    assert numbers(make_feed(forever(), steps=3).epoch(0)) == [0, 1, 2]
    for workers in (1, 3):
        feed = make_feed(Endless(workers=workers), steps=3)
        assert feed.steps == 3 and [numbers(feed.epoch(e)) for e in (0, 1)] == [[0, 1, 2], [3, 4, 5]]
    assert numbers(itertools.islice(make_feed(Endless(), steps=-1).epoch(0), 20)) == list(range(20))
    tf = pytest.importorskip("tensorflow")
    for source in (Endless(), tf.data.Dataset.from_tensors(X).repeat()):
        with pytest.raises(ArgumentError, match=r"without end.*steps_per_epoch"):
            make_feed(source)


def test_the_cap_for_smoke_tests():
    config.set_max_steps_per_epoch(2)
    try:
        assert (make_feed(X, batch_size=1).steps, make_feed(X, steps=5).batch_size) == (2, 2)
        assert len(list(make_feed(Batches()).epoch(0))) == len(list(make_feed(iter(cut())).epoch(0))) == 2
        assert make_feed(Endless()).steps == 2
        config.set_max_steps_per_epoch(20)
        for source in (X, Batches(), Iterable(), iter(cut())):
            assert list(make_feed(source).epoch(0)), (
                "a cap that isn't reached changes nothing, and nothing warns"
            )
    finally:
        config.set_max_steps_per_epoch(None)


# ---- weights


@pytest.mark.parametrize(
    "labels", [Y, Y.astype("float32"), Y[:, None], np.eye(3)[Y], Y.tolist(), Y.astype("uint8")], ids=str
)
def test_class_weight(labels):
    wanted = np.where(Y == 0, 2, np.where(Y == 2, 0.5, 1))
    weight = {0: 2, np.int64(2): 0.5}
    found = make_feed(X, labels, class_weight=weight).arrays[2]
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == "float32"
    for shape in [(SAMPLES,), (SAMPLES, 1), (SAMPLES, 3)]:
        given_weight = np.arange(np.prod(shape)).reshape(shape)
        found = make_feed(X, labels, given_weight, class_weight=weight).arrays[2]
        np.testing.assert_array_equal(
            found, given_weight * wanted.reshape((SAMPLES,) + (1,) * (len(shape) - 1))
        )
    source = ((X, np.asarray(labels)) for _ in range(1))
    np.testing.assert_array_equal(next(make_feed(source, class_weight=weight).epoch(0))[2], wanted)


def test_class_weight_of_every_step():
    labels = np.array([[[0], [1]], [[1], [1]]])
    assert make_feed(labels, labels, class_weight={1: 3}).arrays[2].tolist() == [[1, 3], [3, 3]]


# ---- messages

BAD = {
    "lengths": (lambda: make_feed([X, X[:7]], Y), ShapeError, r"x\[0\]: 10, x\[1\]: 7, y: 10"),
    "sample_weight length": (lambda: make_feed(X, Y, Y[:3]), ShapeError, "sample_weight: 3"),
    "empty": (lambda: make_feed(X[:0], Y[:0]), ShapeError, "empty"),
    "empty list": (lambda: make_feed([]), ArgumentError, "`x` holds no arrays"),
    "none": (lambda: make_feed(None), ArgumentTypeError, "`x` is None"),
    "strings": (
        lambda: make_feed({"a": np.array(["cat", "dog"])}),
        ArgumentTypeError,
        r"`x\['a'\]` must hold numbers.*<U3",
    ),
    "list of strings": (lambda: make_feed(X, ["a"] * SAMPLES), ArgumentTypeError, "`y` must hold numbers"),
    "objects": (
        lambda: make_feed(np.array([1, "a"], object)),
        ArgumentTypeError,
        "must hold numbers.*object",
    ),
    "dates": (lambda: make_feed(np.array(["2020-01-01"], "M8[D]")), ArgumentTypeError, "must hold numbers"),
    "ragged list": (
        lambda: make_feed([[1, 2], [3]]),
        ArgumentTypeError,
        "`x`, of type list, can't be turned",
    ),
    "single value": (lambda: make_feed(np.float32(3)), ShapeError, "first dimension"),
    "number": (lambda: make_feed(3), ShapeError, "first dimension"),
    "text": (lambda: make_feed("data.csv"), ArgumentTypeError, "must hold numbers"),
    "set": (lambda: make_feed({1, 2}), ArgumentTypeError, "`x` must be an array.*set"),
    "function": (lambda: make_feed(cut), ArgumentTypeError, "`x` must be an array.*function"),
    "generator inside": (lambda: make_feed([iter(cut())]), ArgumentTypeError, r"`x\[0\]` must be an array"),
    "y is a generator": (lambda: make_feed(X, iter(cut())), ArgumentTypeError, "`y` must be an array"),
    "y with a generator": (
        lambda: make_feed(iter(cut()), Y),
        ArgumentError,
        "`y` can't be passed when `x` is a list_iter",
    ),
    "weight with a dataset": (
        lambda: make_feed(Batches(), None, Y),
        ArgumentError,
        "`sample_weight` can't.*Batches",
    ),
    "size with a dataset": (
        lambda: make_feed(Batches(), batch_size=3),
        ArgumentError,
        "`batch_size` can't.*Batches",
    ),
    "shuffle inside batches": (lambda: make_feed(iter(cut()), shuffle="batch"), ArgumentError, "arrays only"),
    "shuffle": (lambda: make_feed(X, shuffle="yes"), ArgumentTypeError, "`shuffle` must be"),
    "batch_size 0": (lambda: make_feed(X, batch_size=0), ArgumentError, "`batch_size` must be a positive"),
    "batch_size float": (
        lambda: make_feed(X, batch_size=2.0),
        ArgumentTypeError,
        "`batch_size` must be a positive",
    ),
    "steps": (lambda: make_feed(X, steps=-2), ArgumentError, "`steps` must be a positive"),
    "seed": (lambda: make_feed(X, seed="a"), ArgumentTypeError, "`seed`"),
    "class weight list": (lambda: make_feed(X, Y, class_weight=[1, 2]), ArgumentTypeError, "must be a dict"),
    "class weight names": (lambda: make_feed(X, Y, class_weight={"a": 2}), ArgumentTypeError, "'a': 2"),
    "class weight, no y": (lambda: make_feed(X, class_weight={0: 2}), ArgumentError, "there is no `y`"),
    "class weight, outputs": (
        lambda: make_feed(X, [Y, Y], class_weight={0: 2}),
        ArgumentError,
        "single output",
    ),
    "weights of outputs": (lambda: make_feed(X, [Y, Y], [Y]), ArgumentError, "structured as `y`"),
    "weight of outputs": (lambda: make_feed(X, [Y, Y], X), ShapeError, r"one value a sample.*\(10, 3\)"),
    "batch of four": (lambda: list(make_feed(iter([(X, X, X, X)])).epoch(0)), ArgumentError, "tuple of 4"),
    "batch lengths": (
        lambda: list(make_feed(iter([X, (X, Y[:3])])).epoch(0)),
        ShapeError,
        "in batch 1. Received x: 10, y: 3",
    ),
    "no batches": (lambda: list(make_feed(iter([])).epoch(0)), ArgumentError, "yielded no batches"),
    "dataset without batches": (lambda: list(make_feed(Endless()).epoch(0)), ArgumentError, "without end"),
    "workers": (lambda: Batches(workers=-1), ArgumentError, "`workers` of a PyDataset"),
    "queue": (lambda: Batches(max_queue_size="a"), ArgumentTypeError, "`max_queue_size` of a PyDataset"),
    "abstract": (lambda: PyDataset()[0], NotImplementedError, "__getitem__"),
    "abstract length": (lambda: PyDataset().num_batches, NotImplementedError, "__len__"),
    "split 0": (lambda: split_validation((X, Y, None), 0.0), ArgumentError, "between 0 and 1"),
    "split 1": (lambda: split_validation((X, Y, None), 1), ArgumentError, "between 0 and 1"),
    "split too few": (
        lambda: split_validation((X[:1], Y[:1], None), 0.5),
        ArgumentError,
        "nothing to train on",
    ),
    "split a generator": (
        lambda: split_validation((iter(cut()), None, None), 0.5),
        ArgumentError,
        "arrays only",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_message(name):
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("library", ["scipy", "torch", "tensorflow", "jax"])
def test_sparse_data_are_refused(library):
    pytest.importorskip(library)
    if library == "scipy":
        from scipy.sparse import csr_matrix

        sparse = csr_matrix(X)
    elif library == "torch":
        import torch

        sparse = torch.from_numpy(X).to_sparse()
    elif library == "tensorflow":
        import tensorflow as tf

        sparse = tf.sparse.from_dense(X)
    else:
        from jax.experimental.sparse import BCOO

        sparse = BCOO.fromdense(X)
    with pytest.raises(ArgumentTypeError, match="`x` is sparse or ragged"):
        make_feed(sparse)


# ---- validation split


@pytest.mark.parametrize("kind", MEMORY)
def test_validation_split_takes_the_last_samples(kind):
    x, y = MEMORY[kind]()
    train, validation = split_validation(({"a": x}, y, None), 0.25)
    assert [np.asarray(train[1]).tolist(), np.asarray(validation[1]).tolist()] == [
        Y[:7].tolist(),
        Y[7:].tolist(),
    ]
    assert train[2] is None and validation[2] is None
    check = make_feed(*validation)
    np.testing.assert_array_equal(next(check.epoch(0))[0]["a"], X[7:])


# ---- threads


def test_errors_of_a_source_arrive_and_no_thread_is_left():
    def broken():
        yield X
        raise KeyError("mine")

    before = threading.active_count()
    for source in (broken(), Batches([X, "bad"]), Batches([X, X, "bad", X], workers=2)):
        feed = make_feed(source)
        with pytest.raises((KeyError, ArgumentTypeError), match=r"mine|`x` in batch [12] must hold"):
            list(feed.epoch(0))
    feed = make_feed(itertools.repeat(X), steps=2)
    list(feed.epoch(0))
    del feed, source  # a feed that nobody closes is collected
    gc.collect()
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_early_stop_does_not_wait_for_a_slow_source():
    class Slow(Batches):
        def __getitem__(self, index):
            time.sleep(0 if index < 1 else 30)
            return X

    start = time.monotonic()
    epoch = make_feed(Slow([X] * 5)).epoch(0)
    next(epoch)
    epoch.close()
    assert time.monotonic() - start < 5


def test_hooks_threads_and_shuffle_of_a_dataset():
    dataset = Batches(SEVEN, workers=3, max_queue_size=4)
    feed = make_feed(dataset, shuffle=True, seed=1)
    epochs = [numbers(feed.epoch(e)) for e in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1] and sorted(epochs[0]) == list(range(7))
    assert dataset.hooks == ["begin", "end"] * 3
    assert threading.get_ident() not in dataset.threads
    inline = Batches(SEVEN, workers=0)
    list(make_feed(inline).epoch(0))
    assert inline.threads == {threading.get_ident()}


def test_a_dataset_may_skip_the_base_constructor():
    class Bare(PyDataset):
        def __init__(self):
            pass

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return X

    assert len(list(make_feed(Bare()).epoch(0))) == len(list(Bare())) == 2


# ---- processes

MODULE = """
import os, signal, sys, time
import numpy as np
from triceras.training.dataset import PyDataset

class Remote(PyDataset):
    def __init__(self, what="fine", **options):
        super().__init__(workers=2, use_multiprocessing=True, max_queue_size=4, **options)
        self.what, self.epoch = what, 0
    def __len__(self):
        return 6
    def __getitem__(self, index):
        if self.what == "error" and index == 3:
            raise LookupError("no batch three")
        if self.what == "death" and index == 3:
            os._exit(7)
        if self.what == "slow" and index > 0:
            time.sleep(60)
        if self.what == "list of modules":
            engines = [name in sys.modules for name in ("jax", "jaxlib", "torch", "tensorflow", "keras")]
            return np.array([engines, [os.getpid() != self.parent] * 5])
        size = 1 + index % 3  # blocks grow and shrink
        x = {"a": np.full((size, 1000), index + 10 * self.epoch), "b": np.ones((size, 2), "bool")}
        return x, np.ones(size)

class Hooked(Remote):
    def on_epoch_end(self):
        self.epoch += 1

class Local(Remote):
    def __init__(self):
        super().__init__()
        self.lock = lambda: None
"""


@pytest.fixture
def remote(tmp_path, monkeypatch):
    (tmp_path / "remote_datasets.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import remote_datasets

    yield remote_datasets
    del sys.modules["remote_datasets"]


def shared_blocks():
    """Blocks of this process's workers that are still in memory, where the system shows them."""
    return glob.glob(f"/dev/shm/triceras_{os.getpid()}_*")


def test_processes_give_the_batches_in_order_and_see_what_the_hooks_change(remote):
    for kind, offset in ((remote.Remote, 0), (remote.Hooked, 10)):
        feed = make_feed(kind(), class_weight={1: 2.0})
        for epoch in range(2):
            for index, (x, y, weight) in enumerate(feed.epoch(epoch)):
                assert x["a"].shape == (1 + index % 3, 1000) and (x["a"] == index + epoch * offset).all()
                assert x["b"].dtype == "bool" and y.dtype == "float32" and (weight == 2).all()
        assert index == 5
        feed.close()
    assert not shared_blocks()


def test_processes_import_no_engine(remote):
    dataset = remote.Remote("list of modules")
    dataset.parent = os.getpid()
    feed = make_feed(dataset)
    for (found,) in feed.epoch(0):
        assert not found[0].any() and found[1].all()
    feed.close()


def test_errors_of_processes_arrive_with_their_traceback(remote):
    feed = make_feed(remote.Remote("error"))
    with pytest.raises(LookupError, match="no batch three") as caught:
        list(feed.epoch(0))
    assert "Remote failed while computing batch 3" in str(caught.value.__cause__)
    assert 'raise LookupError("no batch three")' in str(caught.value.__cause__)
    feed.close()
    assert not shared_blocks()
    with pytest.raises(ArgumentError, match="Local can't be sent to worker processes"):
        list(make_feed(remote.Local()).epoch(0))


def test_a_dead_process_is_noticed(remote):
    start = time.monotonic()
    feed = make_feed(remote.Remote("death"))
    with pytest.raises(StateError, match=r"ended while computing batch 3 \(exit code 7\)"):
        list(feed.epoch(0))
    feed.close()
    assert time.monotonic() - start < 20 and not shared_blocks()


def test_early_stop_ends_busy_processes(remote):
    start = time.monotonic()
    feed = make_feed(remote.Remote("slow"))
    epoch = feed.epoch(0)
    next(epoch)
    epoch.close()
    assert time.monotonic() - start < 20 and not shared_blocks()


def test_a_script_may_forget_to_close(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        MODULE
        + textwrap.dedent("""
        if __name__ == "__main__":
            from triceras.training.feed import make_feed
            feed = make_feed(Remote())
            print(sum(len(y) for _, y in feed.epoch(0)))
            left = make_feed(Remote("slow")).epoch(0)
            next(left)
    """)
    )
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert run.stdout.strip() == "12" and run.returncode == 0 and not run.stderr


def test_nothing_heavy_is_imported():
    heavy = {"jax", "torch", "tensorflow", "pandas", "h5py"}
    code = f"import sys, triceras.training.feed; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "set()"
