"""Feeding data into training: whatever the user gives becomes batches, tuples of trees of NumPy arrays.

`make_feed` picks one of four feeds: `ArrayFeed` for data in memory, `DatasetFeed` for a `PyDataset`,
`IndexedFeed` for one with numbered samples, `StreamFeed` for every other iterable of batches. An `Intake`
turns what they get into arrays and checks that these fit each other; an `Order` says which samples come when.
"""

from __future__ import annotations

import itertools
import math
import numbers
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import ml_dtypes  # noqa: F401 - makes np.dtype("bfloat16") known
import numpy as np

from triceras.core import config, dtypes, tree
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, StateError, shown
from triceras.core.registry import export
from triceras.training.dataset import Crew, IndexedDataset, Job, Lane, PyDataset, RowsOfBatches, jobs
from triceras.utils.sampling import Order, class_numbers, generator
from triceras.utils.text import as_text, is_text

Batch = tuple[Any, ...]

DEFAULT_BATCH_SIZE = 32
_READ_AHEAD = 4  # batches of a stream
_ENGINES = {"jax", "jaxlib", "torch", "tensorflow"}
_END = object()


@export("utils.unpack_x_y_sample_weight")
def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Take a batch apart: what it lacks is None, and anything but a tuple or list is x alone.

    >>> unpack_x_y_sample_weight((1, 2))
    (1, 2, None)
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ArgumentError(
            f"A batch must be x, (x,), (x, y) or (x, y, sample_weight). Received a {type(data).__name__} of "
            f"{len(data)}: {shown(data)}. Several inputs go into one tuple, list or dict: ((x1, x2), y)."
        )
    return (*data, None, None)[:3]


@export("utils.pack_x_y_sample_weight")
def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Make a batch: (x, y, sample_weight), (x, y), or x alone, which is wrapped only if a tuple or list.

    >>> pack_x_y_sample_weight(1, 2), pack_x_y_sample_weight(1), pack_x_y_sample_weight([1])
    ((1, 2), 1, ([1],))
    """
    if y is not None:
        return (x, y) if sample_weight is None else (x, y, sample_weight)
    return (x,) if isinstance(x, (tuple, list)) else x


# ---- from anything to arrays


def _is_engine_tensor(value: Any) -> bool:
    return hasattr(value, "dtype") and any(
        c.__module__.partition(".")[0] in _ENGINES for c in type(value).__mro__
    )


def _is_sparse_or_ragged(value: Any) -> bool:
    return (
        hasattr(value, "tocsr")
        or hasattr(value, "todense")
        or type(value).__name__ in ("SparseTensor", "RaggedTensor")
        or (hasattr(value, "detach") and str(value.layout).startswith("torch.sparse"))
    )


def _is_list_of_values(value: Any) -> bool:
    """Whether (nested) lists hold plain values, and so are one array rather than a structure of arrays."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (numbers.Number, np.generic, str, bytes))


def _from_frame(frame: Any) -> np.ndarray:
    wrong = {str(name): str(kind) for name, kind in frame.dtypes.items() if kind.kind not in "biuf"}
    if wrong:
        raise TypeError(f"these columns hold no numbers: {wrong}. Drop them or encode them as numbers")
    dtype = np.result_type(*(getattr(kind, "numpy_dtype", kind) for kind in frame.dtypes))
    return frame.to_numpy(dtype=dtype, **({"na_value": np.nan} if dtype.kind == "f" else {}))


def _as_numpy(value: Any, label: str) -> np.ndarray:
    """Any array-like as a NumPy array of its own dtype (data frames: of one dtype that holds all columns)."""
    pandas = sys.modules.get("pandas")
    if _is_sparse_or_ragged(value):
        raise ArgumentTypeError(
            f"{label} is sparse or ragged ({type(value).__name__}); training takes dense arrays. Convert it, "
            "for instance with `.toarray()`, or yield dense batches from a PyDataset if it is too large."
        )
    try:
        if pandas and isinstance(value, pandas.DataFrame):
            return _from_frame(value)
        if pandas and isinstance(value, pandas.Series):
            return _from_frame(value.to_frame())
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            return (value.float() if "bfloat16" in str(value.dtype) else value).numpy()
        if hasattr(value, "__array__") or isinstance(value, (list, tuple, numbers.Number, str, bytes)):
            return np.asarray(value)
    except Exception as error:
        raise ArgumentTypeError(
            f"{label}, of type {type(value).__name__}, can't be turned into one array of numbers: {error}."
        ) from error
    raise ArgumentTypeError(
        f"{label} must be an array, tensor, data frame or list of numbers, or a list, tuple or dict of "
        f"these. Received: {shown(value)} (of type {type(value).__name__})."
    )


def _to_array(value: Any, label: str, floatx: str, keep_tensors: bool, text: bool = False) -> Any:
    """One leaf as an array of numbers, floats as floatx; an engine's tensor may stay as it is if it fits."""
    if text and is_text(value):
        return as_text(value, name=label)
    keep = keep_tensors and _is_engine_tensor(value) and not _is_sparse_or_ragged(value)
    array = value if keep else _as_numpy(value, label)
    try:
        dtype = dtypes.standardize_dtype(array.dtype)
    except (ValueError, TypeError):
        dtype = "unknown"
    if dtype not in dtypes.ALL or dtype == "string":
        raise ArgumentTypeError(
            f"{label} must hold numbers. Received dtype {array.dtype}: {shown(value)}. Encode text and "
            "categories as numbers first; rows of unequal length must be padded."
        )
    if len(array.shape) == 0:
        raise ShapeError(
            f"{label} must have a first dimension that counts samples. Received one value: {shown(value)}."
        )
    if dtype != floatx and dtype in dtypes.FLOATS + dtypes.FLOAT8:
        return _as_numpy(array, label).astype(floatx)
    if isinstance(array, np.ndarray) and not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array


def _map_named(value: Any, name: str, convert: Callable[[Any, str], Any]) -> Any:
    """Convert every leaf of a structure, given the leaf's name, such as `x['image'][0]`."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {key: _map_named(item, f"{name}[{key!r}]", convert) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and not _is_list_of_values(value):
        items = [_map_named(item, f"{name}[{i}]", convert) for i, item in enumerate(value)]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return convert(value, name)


def _map(function: Callable[[Any], Any], structure: Any) -> Any:
    return tree.map_structure(function, structure, none_is_leaf=False)


def _samples(arrays: Batch) -> int:
    return next(int(array.shape[0]) for array in tree.flatten(arrays) if array is not None)


# ---- from arrays to batches that fit together


def _check_class_weight(class_weight: Any) -> None:
    if not isinstance(class_weight, Mapping):
        raise ArgumentTypeError(
            f"`class_weight` must be a dict from label to weight. Received: {shown(class_weight)}"
        )
    for label, weight in class_weight.items():
        if not isinstance(label, numbers.Integral) or not isinstance(weight, numbers.Real):
            raise ArgumentTypeError(
                f"`class_weight` must map integer labels to numbers. Received the entry {label!r}: {weight!r}"
            )


def _weights_of_labels(y: np.ndarray, class_weight: Mapping[int, float], floatx: str) -> np.ndarray:
    """The weight of each label; a last dimension of 1 is dropped, a longer one is one-hot."""
    if y.ndim > 1:
        y = y[..., 0] if y.shape[-1] == 1 else y.argmax(axis=-1)
    labels, positions = np.unique(np.rint(y) if y.dtype.kind == "f" else y, return_inverse=True)
    weights = np.array([class_weight.get(label, 1.0) for label in labels.tolist()], floatx)
    return weights[positions].reshape(y.shape)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a * b, aligned at the first dimension instead of the last."""
    rank = max(a.ndim, b.ndim)
    return a.reshape(a.shape + (1,) * (rank - a.ndim)) * b.reshape(b.shape + (1,) * (rank - b.ndim))


@dataclass(frozen=True)
class Intake:
    """Turns x, y and sample_weight into trees of arrays of equal length, with class weights multiplied in."""

    class_weight: Mapping[int, float] | None = None
    floatx: str = "float32"
    keep_tensors: bool = False
    text: bool = False  # whether x may hold text

    def batch(self, data: Any, index: int) -> Batch:
        """One batch of a stream: x, (x,), (x, y) or (x, y, sample_weight), a list counting as a tuple."""
        return self(*unpack_x_y_sample_weight(data), where=f" in batch {index}")

    def __call__(self, x: Any, y: Any = None, sample_weight: Any = None, where: str = "") -> Batch:
        lengths: dict[str, int] = {}

        def convert(value: Any, name: str) -> Any:
            text = self.text and name.startswith("x")
            array = _to_array(value, f"`{name}`{where}", self.floatx, self.keep_tensors, text)
            lengths[name] = int(array.shape[0])
            return array

        x, y = _map_named(x, "x", convert), _map_named(y, "y", convert)
        sample_weight = _map_named(sample_weight, "sample_weight", convert)
        _check_lengths(lengths, where)
        if sample_weight is not None and tree.is_nested(y):
            sample_weight = _weight_each_output(y, sample_weight, where)
        if self.class_weight is not None:
            sample_weight = self._weigh_classes(y, sample_weight, where)
        if sample_weight is not None:
            return x, y, sample_weight
        return (x,) if y is None else (x, y)

    def _weigh_classes(self, y: Any, sample_weight: Any, where: str) -> np.ndarray:
        if y is None:
            raise ArgumentError(f"`class_weight` weights the labels `y`, but there is no `y`{where}.")
        if tree.is_nested(y):
            raise ArgumentError(
                f"`class_weight` works for models with a single output. Received `y`{where} as a "
                f"{type(y).__name__}. Pass `sample_weight` with one array an output instead."
            )
        weights = _weights_of_labels(_as_numpy(y, "`y`"), self.class_weight, self.floatx)
        if sample_weight is None:
            return weights
        return _product(_as_numpy(sample_weight, "`sample_weight`"), weights).astype(self.floatx)


def _check_lengths(lengths: dict[str, int], where: str) -> None:
    if not any(name.startswith("x") for name in lengths):
        raise ArgumentError(f"`x`{where} holds no arrays.")
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ShapeError(
            f"All arrays must have the same number of samples (first dimension){where}. Received {listed}."
        )
    if 0 in lengths.values():
        raise ShapeError(f"`x`{where} is empty: its first dimension is 0. At least one sample is needed.")


def _weight_each_output(y: Any, sample_weight: Any, where: str) -> Any:
    """One array of sample weights for each output, the same one for all if only one was given."""
    if tree.is_nested(sample_weight):
        try:
            tree.assert_same_structure(y, sample_weight)
        except ArgumentError as error:
            raise ArgumentError(
                f"With several outputs, `sample_weight`{where} is one array for all or is structured as `y` "
                f"is. {error}"
            ) from error
        return sample_weight
    shape = tuple(sample_weight.shape)
    if len(shape) > 1 and shape[1:] != (1,):
        raise ShapeError(
            f"With several outputs, a single `sample_weight`{where} must have one value a sample. Received "
            f"shape {shape}. Pass one array an output instead, structured as `y` is."
        )
    return _map(lambda _: sample_weight, y)


# ---- the feeds


def _share(epoch: int, batches: int, steps: int) -> tuple[int, int, int]:
    """The pass over the data that an epoch of `steps` lies in, and its first and last + 1 batch there."""
    number, part = divmod(epoch, -(-batches // steps))
    return number, part * steps, min((part + 1) * steps, batches)


class Feed:
    """Batches for the epochs of one `fit`, `evaluate` or `predict`.

    Attributes:
        batch_size: samples a batch, or None where the source decides.
        arrays: data in memory, (x,), (x, y) or (x, y, sample_weight): NumPy arrays or the user's own tensors.
        prepare: what a step does with a batch first, inside of its compiled part, or None.
        exhausted: whether the source has ended for good. An epoch without batches means training is over.
    """

    batch_size: int | None = None
    arrays: Batch | None = None
    prepare: Callable[[Any], Any] | None = None
    exhausted = False
    _warned = False
    _peeked: tuple[Batch, Iterator[Batch]] | None = None

    def __init__(self, steps: int | None) -> None:
        cap = config.max_steps_per_epoch()
        self._limit = min(steps or cap, cap) if cap else steps
        self._steps_were_asked = steps is not None

    @property
    def steps(self) -> int | None:
        """Batches an epoch (at most, where a pass over the data isn't a multiple), or None while unknown."""
        raise NotImplementedError

    def order(self, epoch: int) -> np.ndarray:
        """Indices of an epoch's samples: the same for the same seed and epoch. In-memory data only."""
        raise StateError(f"A {type(self).__name__} has no order of samples: only data in memory has one.")

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        """The batches of one epoch; closing the iterator early is allowed."""
        raise NotImplementedError

    def peek(self, epoch: int = 0) -> Batch:
        """The first batch that `batches(epoch)` will give."""
        if self._peeked is None:
            rest = self.epoch(epoch)
            for first in rest:
                self._peeked = (first, rest)
                break
            else:
                raise ArgumentError("The data holds no batch. At least one is needed.")
        return self._peeked[0]

    def example(self, epoch: int = 0) -> Batch:
        """The first batch as the model will get it."""
        batch = self.peek(epoch)
        return batch if self.prepare is None else self.prepare(batch)

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, a batch that was peeked at included."""
        peeked, self._peeked = self._peeked, None
        if peeked is None:
            yield from self.epoch(epoch)
        else:
            yield peeked[0]
            yield from peeked[1]

    def close(self) -> None:
        """End all threads and processes. A closed feed may be used again."""

    def _warn_if_short(self, found: int) -> None:
        """Say once that the data ended before the steps asked for."""
        if self._steps_were_asked and found < self._limit:
            self._warn(f"{self._limit} steps an epoch were asked for, and this epoch got {found}")

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            advice = "Provide steps x epochs batches, or ask for fewer steps or epochs."
            warnings.warn(f"The data ran out: {what}. {advice}", stacklevel=4)


class OrderedFeed(Feed):
    """Samples that have numbers: an order says which rows make the batches of an epoch."""

    def __init__(self, order: Order, steps: int | None) -> None:
        super().__init__(steps)
        self._order, self.batch_size = order, order.batch_size
        self._batches = -(-order.samples // order.batch_size)

    @property
    def steps(self) -> int:
        return min(self._limit or self._batches, self._batches)

    def order(self, epoch: int) -> np.ndarray:
        return self._rows(epoch)[2]

    def _rows(self, epoch: int) -> tuple[int, int, np.ndarray]:
        """The pass that an epoch lies in, its first batch there, and its rows."""
        number, first, last = _share(epoch, self._batches, self.steps)
        self._warn_if_short(last - first)
        return number, first, self._order.rows(number)[first * self.batch_size : last * self.batch_size]


class ArrayFeed(OrderedFeed):
    """Data in memory: batches are gathered by index."""

    def __init__(self, arrays: Batch, order: Order, steps: int | None = None) -> None:
        super().__init__(order, steps)
        self.arrays = arrays

    def peek(self, epoch: int = 0) -> Batch:
        return _map(lambda a: a[: self.batch_size], self.arrays)

    @cached_property
    def _host(self) -> Batch:
        return _map(lambda a: _as_numpy(a, "the data"), self.arrays)

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        order = self.order(epoch)
        for low in range(0, len(order), self.batch_size):
            rows: Any = order[low : low + self.batch_size]
            if self._order.plain:
                rows = slice(rows[0], rows[-1] + 1)
            yield _map(lambda a, rows=rows: a[rows], self._host)


def _compute(dataset: PyDataset, intake: Intake, index: int) -> Batch:
    return intake.batch(dataset[index], index)


class DatasetFeed(Feed):
    """A `PyDataset`: batches are asked for by number, ahead of training."""

    def __init__(
        self, dataset: PyDataset, intake: Intake, steps: int | None, shuffle: bool, seed: int
    ) -> None:
        super().__init__(steps)
        self._dataset, self._shuffle, self._seed = dataset, shuffle, seed
        self._crew = Crew(dataset, partial(_compute, dataset, intake))

    @property
    def steps(self) -> int | None:
        batches = self._dataset.num_batches
        return self._limit if batches is None else min(self._limit or batches, batches)

    def _numbers(self, epoch: int) -> Sequence[int]:
        """The numbers of the epoch's batches; they go on where the epoch before stopped."""
        batches, steps = self._dataset.num_batches, self.steps
        if steps is None:
            return range(sys.maxsize)
        if batches is None:
            return range(epoch * steps, (epoch + 1) * steps)
        if batches < 1:
            raise ArgumentError(
                f"{type(self._dataset).__name__} has {batches} batches. At least one is needed."
            )
        number, first, last = _share(epoch, batches, steps)
        self._warn_if_short(last - first)
        if self._shuffle:
            return generator(self._seed, number).permutation(batches)[first:last].tolist()
        return range(first, last)

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        self._dataset.on_epoch_begin()
        yield from self._crew.batches(self._numbers(epoch))
        self._dataset.on_epoch_end()

    def close(self) -> None:
        self._crew.close()


def _gather(dataset: IndexedDataset, intake: Intake, seed: int, job: Job) -> Batch:
    return intake.batch(dataset.do(job, seed), job.position)


class IndexedFeed(OrderedFeed):
    """An `IndexedDataset`: batches of chosen samples are computed ahead, until all samples are in memory."""

    def __init__(self, dataset: IndexedDataset, intake: Intake, order: Order, steps: int | None) -> None:
        super().__init__(order, steps)
        self._dataset, self._intake, self.prepare = dataset, intake, dataset.prepare
        self._crew = Crew(dataset, partial(_gather, dataset, intake, order.seed))
        self._ready: Batch | None = None

    @property
    def arrays(self) -> Batch | None:
        if self._ready is None and self._dataset.arrays is not None:
            self._ready = self._intake(*unpack_x_y_sample_weight(self._dataset.arrays))
        return self._ready

    def peek(self, epoch: int = 0) -> Batch:
        if self._peeked is None and self.arrays is not None:
            return _map(lambda a: a[: self.batch_size], self.arrays)
        return super().peek(epoch)

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        number, first, rows = self._rows(epoch)
        todo = jobs(rows, self.batch_size, number, first)
        self._dataset.on_epoch_begin()
        for job, batch in zip(todo, self._crew.batches(todo), strict=True):
            if self._dataset.use_multiprocessing:
                self._dataset._stored(job, batch)
            yield batch
        self._dataset.on_epoch_end()

    def close(self) -> None:
        if self._peeked is not None:
            self._peeked[1].close()
            self._peeked = None
        self._crew.close()


class StreamFeed(Feed):
    """Any iterable of batches, read ahead by one thread. An iterator or generator can be read only once."""

    def __init__(self, source: Iterable[Any], intake: Intake, steps: int | None) -> None:
        super().__init__(steps)
        self._source, self._intake = source, intake
        self._once = hasattr(source, "__next__")
        self._batches = None if self._once else _length(source)
        self._lane: Lane | None = None

    @property
    def steps(self) -> int | None:
        return self._limit if self._batches is None else min(self._limit or self._batches, self._batches)

    @property
    def exhausted(self) -> bool:
        return self._once and self._lane is not None and self._lane.ended

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        found = 0
        try:
            for batch in self._next_batches():
                found += 1
                yield batch
        finally:
            if self._limit is None and not self._once:  # the next epoch is a new pass
                self.close()
        self._warn_if_short(found)
        if not self._once and self._limit is None:
            self._batches = found
        elif not found:
            self._warn(f"the {type(self._source).__name__} was used up, and it can't be restarted")

    def _next_batches(self) -> Iterator[Batch]:
        """Batches from where the epoch before stopped, or from a new pass if that was the end."""
        fresh = self._lane is None
        if fresh:
            self._lane = Lane(map(self._intake.batch, self._source, itertools.count()), _READ_AHEAD)
        batches = self._lane.take(self._limit)
        first = next(batches, _END)
        if first is not _END:
            yield first
            yield from batches
        elif fresh:
            name = type(self._source).__name__
            raise ArgumentError(f"`x`, a {name}, yielded no batches. It is empty or was used up before.")
        elif not self._once:
            self.close()
            yield from self._next_batches()

    def close(self) -> None:
        if self._lane is not None:
            self._lane.close()
        if not self._once:
            self._lane = None


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except (TypeError, NotImplementedError):
        return None


# ---- the entry points


def is_stream(x: Any) -> bool:
    """Whether x yields whole batches, rather than being data in memory."""
    in_memory = isinstance(x, (list, tuple, Mapping, str, bytes, set, frozenset)) or hasattr(x, "__array__")
    return (
        not in_memory and not _is_sparse_or_ragged(x) and (isinstance(x, PyDataset) or hasattr(x, "__iter__"))
    )


def _is_endless(x: Any) -> bool:
    if isinstance(x, PyDataset):
        return x.num_batches is None
    cardinality = getattr(x, "cardinality", None)  # of a tf.data.Dataset, where -1 means endless
    return callable(cardinality) and int(cardinality()) == -1


def _classes(labels: Any, source: str, shuffle: Any, class_weight: Any) -> np.ndarray:
    """The class of each sample, for a balanced order."""
    if class_weight is not None:
        raise ArgumentError(
            "`balance=True` and `class_weight` both make up for classes of unequal size. Pass one of them."
        )
    if shuffle is not True:
        raise ArgumentError(
            "`balance=True` draws samples at random, so it can't keep an order; leave out `shuffle`. "
            f"Received: shuffle={shuffle!r}"
        )
    advice = "Weight samples with `sample_weight`, or pass arrays or a PyDataset with an attribute `labels`."
    if labels is None:
        raise ArgumentError(f"`balance=True` needs the class of each sample, but {source} has none. {advice}")
    if tree.is_nested(labels) and not _is_list_of_values(labels):
        raise ArgumentError(
            f"`balance=True` works for one output, but {source} has several targets, and any may hold the "
            f"classes. {advice}"
        )
    return class_numbers(_as_numpy(labels, "the labels"), "the labels, for `balance=True`,")


def _positive(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ArgumentTypeError(f"`{name}` must be a positive integer or None. Received: {value!r}")
    if value < 1:
        raise ArgumentError(f"`{name}` must be a positive integer or None. Received: {value!r}")
    return int(value)


def make_feed(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[int, float] | None = None,
    seed: int | None = None,
    balance: bool = False,
) -> Feed:
    """Make the feed that fits the data.

    Args:
        x: arrays, tensors, data frames or lists of numbers, or a list, tuple or dict of these; or a
            `PyDataset`, a generator, a torch `DataLoader`, a `tf.data.Dataset` or any other iterable of whole
            batches.
        y: targets, with arrays only, as for `sample_weight`.
        sample_weight: weight of each sample (or step): one array, or one for each output.
        batch_size: samples a batch, with arrays only; by default 32, or what makes `steps` batches.
        steps: batches an epoch; the next epoch goes on where this one stopped. None means a whole pass, -1
            means as long as batches come, which an endless source needs.
        shuffle: whether each pass has a new order; "batch" shuffles arrays inside of each batch only. A
            `PyDataset` shuffles whole batches. Other streams keep their own order.
        class_weight: weight of each label, 1 where missing; multiplied with `sample_weight`.
        seed: what the order depends on, with the epoch; None takes one from NumPy's global generator.
        balance: whether to draw all classes evenly, where the class of each sample is known: from `y`, or
            from a `PyDataset` with an attribute `labels`.

    Raises:
        ArgumentTypeError: for data that aren't numbers, and for other values of a wrong type.
        ShapeError: for arrays that are empty or of different lengths.
        ArgumentError: for arguments that don't go together.

    >>> feed = make_feed([[1.0], [2.0], [3.0]], [0, 1, 0], batch_size=2)
    >>> [y.tolist() for x, y in feed.epoch(0)]
    [[0, 1], [0]]
    """
    if x is None:
        raise ArgumentTypeError("`x` is None, but there must be data. Pass arrays, a dataset or a generator.")
    asked = None if steps == -1 else _positive("steps", steps)
    batch_size = _positive("batch_size", batch_size)
    if not isinstance(shuffle, (bool, np.bool_)) and shuffle != "batch":
        raise ArgumentTypeError(f'`shuffle` must be True, False or "batch". Received: {shuffle!r}')
    if class_weight is not None:
        _check_class_weight(class_weight)
    if seed is None:
        seed = int(np.random.randint(2**31)) if shuffle is not False else 0
    elif isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise ArgumentTypeError(f"`seed` must be an integer or None. Received: {seed!r}")
    seed = int(seed) % 2**64
    intake = Intake(class_weight, config.floatx(), keep_tensors=not is_stream(x))

    if not is_stream(x):
        arrays = intake(x, y, sample_weight)
        samples = _samples(arrays)
        batch_size = batch_size or (-(-samples // asked) if asked else DEFAULT_BATCH_SIZE)
        classes = _classes(y, "`x` alone", shuffle, class_weight) if balance else None
        return ArrayFeed(arrays, Order(samples, batch_size, shuffle, seed, classes), asked)

    kind = type(x).__name__
    for name, value in (("y", y), ("sample_weight", sample_weight), ("batch_size", batch_size)):
        if value is not None:
            raise ArgumentError(
                f"`{name}` can't be passed when `x` is a {kind}, which yields whole batches: (x, y) or "
                f"(x, y, sample_weight). Let the {kind} provide it."
            )
    if shuffle == "batch":
        raise ArgumentError(f'`shuffle="batch"` works for arrays only. `x` is a {kind}: shuffle there.')
    if steps is None and config.max_steps_per_epoch() is None and _is_endless(x):
        raise ArgumentError(
            f"`x` is a {kind} without end, so the number of batches must be given: pass `steps_per_epoch` to "
            "fit(), `validation_steps` for validation data, or `steps` to evaluate() and predict()."
        )
    classes = _classes(getattr(x, "labels", None), f"a {kind}", shuffle, class_weight) if balance else None
    if classes is not None and not isinstance(x, IndexedDataset):
        if not isinstance(x, PyDataset):
            raise ArgumentError(
                f"`balance=True` chooses the samples of each batch, but a {kind} chooses them itself. Draw "
                "evenly there (such as with a WeightedRandomSampler), or pass arrays or a PyDataset."
            )
        x = RowsOfBatches(x, classes)
    if isinstance(x, IndexedDataset):
        seed = seed if x.seed is None else int(x.seed)
        order = Order(x.samples, x.batch_size, bool(shuffle and x.shuffled), seed, classes)
        return IndexedFeed(x, intake, order, asked)
    if isinstance(x, PyDataset):
        return DatasetFeed(x, intake, asked, shuffle, seed)
    return StreamFeed(x, intake, asked)


def split_validation(data: tuple[Any, Any, Any], validation_split: float) -> tuple[Batch, Batch]:
    """Cut off the last fraction of (x, y, sample_weight) for validation; both parts are such triples.

    >>> train, validation = split_validation((np.arange(10), None, None), 0.2)
    >>> validation[0].tolist()
    [8, 9]
    """
    if not isinstance(validation_split, numbers.Real) or not 0 < validation_split < 1:
        raise ArgumentError(
            f"`validation_split` must be a number between 0 and 1. Received: {validation_split!r}"
        )
    x, y, sample_weight = data
    if is_stream(x):
        raise ArgumentError(
            f"`validation_split` works for arrays only. `x` is a {type(x).__name__}: pass `validation_data` "
            "instead."
        )
    arrays = (*Intake(None, config.floatx(), keep_tensors=True, text=True)(x, y, sample_weight), None, None)[
        :3
    ]
    samples = _samples(arrays)
    cut = math.floor(samples * (1 - validation_split))
    if cut == 0 or cut == samples:
        raise ArgumentError(
            f"`validation_split={validation_split}` of {samples} samples leaves nothing "
            f"{'to train on' if cut == 0 else 'for validation'}. Use another fraction or more data."
        )
    return _map(lambda a: a[:cut], arrays), _map(lambda a: a[cut:], arrays)
