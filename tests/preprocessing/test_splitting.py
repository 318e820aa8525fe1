"""Windows of series and parts of data, beside the reference's."""

from __future__ import annotations

import numpy as np
import pytest

from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from triceras.training.dataset import PyDataset
from triceras.training.feed import make_feed
from triceras.utils import split_dataset, timeseries_dataset_from_array

SERIES = np.arange(40, dtype="float32").reshape(20, 2)
TARGETS = np.arange(20) * 10


@pytest.fixture(scope="module")
def theirs():
    pytest.importorskip("tensorflow")
    return pytest.importorskip("keras", reason="the reference isn't installed").utils


@pytest.mark.parametrize(
    ("targets", "options"),
    [
        (TARGETS, {"sequence_length": 4}),
        (None, {"sequence_length": 4, "sequence_stride": 3, "batch_size": 2}),
        (TARGETS, {"sequence_length": 3, "sampling_rate": 2, "start_index": 3, "end_index": 17}),
        (TARGETS[:12], {"sequence_length": 3}),
        (TARGETS, {"sequence_length": 5, "batch_size": None}),
    ],
)
def test_windows(theirs, targets, options):
    ours = list(timeseries_dataset_from_array(SERIES, targets, **options))
    other = list(theirs.timeseries_dataset_from_array(SERIES, targets, **options))
    assert len(ours) == len(other)
    for a, b in zip(ours, other, strict=True):
        pairs = zip(a, b, strict=True) if targets is not None else [(a, b)]
        assert all(np.array_equal(x, np.asarray(y)) for x, y in pairs)


def test_windows_are_shuffled_by_seed():
    def windows(seed):
        return timeseries_dataset_from_array(SERIES, TARGETS, 4, shuffle=True, seed=seed, batch_size=5)

    made = [[x.tolist() for x, _ in windows(seed)] for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    "options",
    [{"sequence_length": 0}, {"sequence_length": 30}, {"sequence_stride": 0}, {"sampling_rate": 1.5},
     {"start_index": 30}, {"end_index": 0}, {"sequence_length": 15, "sampling_rate": 2}, {"format": "x"}],
)  # fmt: skip
def test_bad_windows(options):
    with pytest.raises(ArgumentError):
        timeseries_dataset_from_array(SERIES, TARGETS, **{"sequence_length": 4} | options)


SIZES = [(0.8, None), (None, 0.3), (7, None), (None, 4), (0.5, 0.2), (3, 4), (0.33, None)]


@pytest.mark.parametrize("sizes", SIZES)
def test_parts_are_as_long_as_the_reference_says(theirs, sizes):
    ours, other = (m(TARGETS, *sizes) for m in (split_dataset, theirs.split_dataset))
    assert [[int(x) for x in part] for part in ours] == [[int(x) for x in part] for part in other]


def test_structures_and_training():
    left, right = split_dataset((SERIES, TARGETS), left_size=0.75)
    assert (len(left), len(right)) == (15, 5)
    assert next((x.tolist(), int(y)) for x, y in right) == ([30.0, 31.0], 150)
    assert [len(y) for _, y in make_feed(left.batch(4)).epoch(0)] == [4, 4, 4, 3]
    left, _ = split_dataset({"a": SERIES}, left_size=2, shuffle=True, seed=1)
    again, _ = split_dataset({"a": SERIES}, left_size=2, shuffle=True, seed=1)
    assert [x["a"].tolist() for x in left] == [x["a"].tolist() for x in again]

    class Batches(PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return SERIES[index * 5 :][:5], TARGETS[index * 5 :][:5]

    for source in (Batches(), iter(Batches())):
        left, right = split_dataset(source, right_size=1)
        assert (len(left), len(right)) == (3, 1) and right[0][1].tolist() == TARGETS[15:].tolist()


@pytest.mark.parametrize(
    ("data", "sizes", "error"),
    [
        (TARGETS, (None, None), ArgumentError),
        (TARGETS, (1.5, None), ArgumentError),
        (TARGETS, (20, None), ArgumentError),
        (TARGETS, (15, 15), ArgumentError),
        (TARGETS, ("x", None), ArgumentTypeError),
        ((TARGETS, TARGETS[:3]), (0.5, None), ShapeError),
        (5, (0.5, None), ArgumentTypeError),
    ],
)
def test_bad_splits(data, sizes, error):
    with pytest.raises(error):
        split_dataset(data, *sizes)
