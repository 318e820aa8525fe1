"""What an engine must supply. Everything above this file works on these few methods and knows no library.

A *function* here is plain Python over ops that may read and assign variables. A *variable* is anything with
`value` (its tensor, seen through the running `StateScope`) and `assign`. An engine threads state through its own
transformations with `StateScope`; see `on_numpy` for the smallest complete engine and `on_jax` for a compiling one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from triceras.core import tree
from triceras.core.errors import EngineError
from triceras.core.scope import Local
from triceras.core.spec import KerasTensor


class StateScope:
    """Where variables read and write while a function is traced or transformed.

    Args:
        variables: those whose values are threaded.
        values: their values, in the same order.
        parent: the scope around this one; other variables are read from and written to there.
    """

    __slots__ = ("_values", "parent", "unlisted", "written")

    def __init__(
        self, variables: Sequence[Any], values: Sequence[Any], parent: StateScope | None = None
    ) -> None:
        self._values = {id(v): x for v, x in zip(variables, values, strict=True)}
        self.written: dict[int, Any] = {}
        self.unlisted: dict[int, Any] = {}
        self.parent = parent

    def read(self, variable: Any) -> Any:
        """The variable's value here."""
        found = self._values.get(id(variable))
        if found is not None:
            return found
        if self.parent is not None:
            return self.parent.read(variable)
        self.unlisted[id(variable)] = variable
        return variable.engine.read(variable.held)

    def write(self, variable: Any, value: Any) -> None:
        """Give the variable a new value here; it leaves the scope with `collect`."""
        if self.parent is None and id(variable) not in self._values:
            self.unlisted[id(variable)] = variable
        self._values[id(variable)] = value
        self.written[id(variable)] = variable

    def collect(self) -> tuple[list[Any], list[Any]]:
        """The variables written here and their values."""
        variables = list(self.written.values())
        return variables, [self._values[id(v)] for v in variables]


state: Local[StateScope | None] = Local("state", None)


class StepLoop:
    """Runs a compiled step on many batches of data in memory, and returns what the last step returned."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self._step = step

    def load(self, arrays: Any) -> Any:
        """The data in the form that calls take; kept by the caller as long as it is used."""
        return arrays

    def __call__(self, data: Any, index: np.ndarray, n: int) -> Any:
        """Steps on the batches of samples that the first n rows of `index` (rows, batch) name."""
        result = None
        for rows in index[:n]:
            result = self._step(*tree.map_structure(lambda a, rows=rows: a if a is None else a[rows], data))
        return result


class Guest(ABC):
    """Native code that a layer holds.

    Attributes:
        state: what its variables keep, with names, and whether it is trained; their first values if it isn't shared.
        shares: whether the code itself goes on working with what the variables keep.
    """

    state: dict[str, tuple[Any, bool]]
    shares = True

    @abstractmethod
    def run(self, variables: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The code's result for the variables' values; what it changes is assigned to them."""


class Engine(ABC):
    """A library that computes, behind one contract. It is shown as its name and equals it."""

    name: str
    library: str
    differentiates = True
    takes_numbers: Container[str] = ()  # ops that take Python numbers beside tensors, weakly typed
    # the library's own layers, which are wrapped when they become attributes of ours
    modules: tuple[type, ...] = ()
    signals: tuple[type[Exception], ...] = ()  # by which the library says that something can't be captured
    # pairs of sizes tried for unknown dimensions in shape inference; a size may be (that of a first axis, of others)
    probes: tuple[tuple[Any, Any], ...] = ((240, 720),)
    natives: dict[str, Callable[..., Any]]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return repr(self.name)

    def __eq__(self, other: object) -> bool:
        return self is other or self.name == other

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> str:
        return "ENGINE"  # the one of its module, for copies and pickles

    @abstractmethod
    def owns(self, kind: type) -> bool:
        """Whether a type is one of this engine's tensor types (values under tracing included)."""

    @abstractmethod
    def make(self, value: Any, dtype: str | None = None) -> Any:
        """A tensor from a NumPy array, Python numbers or an own tensor, cast to `dtype` if given."""

    @abstractmethod
    def hold(self, value: np.ndarray, trainable: bool = False) -> Any:
        """What a variable keeps, with a copy of this value; concrete also when called while tracing."""

    def read(self, held: Any) -> Any:
        """The tensor in what a variable keeps."""
        return held

    def store(self, held: Any, value: Any) -> Any:
        """What a variable keeps after it was assigned a tensor."""
        return value

    def canonical(self, dtype: str) -> str:
        """The dtype that the library has for a name; 64-bit or unsigned ones may become others."""
        return dtype

    @abstractmethod
    def to_numpy(self, x: Any) -> np.ndarray:
        """A tensor's values as a NumPy array."""

    @abstractmethod
    def cast(self, x: Any, dtype: str) -> Any:
        """A tensor in another dtype."""

    @abstractmethod
    def abstract(self, fn: Callable[..., Any], specs: Sequence[KerasTensor]) -> Any:
        """Shapes and dtypes (as KerasTensors) of what `fn` returns for tensors of fully known shapes."""

    @abstractmethod
    def value_and_grad(
        self, fn: Callable[..., Any], variables: Sequence[Any], has_aux: bool = False
    ) -> Callable[..., tuple[Any, list[Any]]]:
        """A function that returns what `fn` returns and the gradients of its (first) result by the variables."""

    @abstractmethod
    def compile(
        self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = False
    ) -> Callable[..., Any]:
        """A compiled `fn(*trees of tensors) -> tree of tensors` that reads and assigns variables.

        Args:
            fn: the step.
            variables: the state it may read or assign; a variable that is missing here is noticed and added.
            donate: whether old values of the state may be overwritten in place.
        """

    def compile_loop(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = True) -> StepLoop:
        """Many steps over data in memory. Engines that can do them in one dispatch have a loop of their own."""
        return StepLoop(self.compile(fn, variables, donate))

    def upload(self, array: np.ndarray) -> Any:
        """A batch's array as a tensor; the transfer may go on while the host does other things."""
        return self.make(array)

    # -- devices -----------------------------------------------------------------------------------------------------

    def devices(self) -> list[str]:
        """Names of the devices, such as "gpu:0" and "cpu:0"; the first is used unless another is asked for."""
        return ["cpu:0"]

    def on(self, device: str) -> AbstractContextManager[Any]:
        """A `with` block in which tensors are made, and steps run, on one of `devices()`."""
        return nullcontext()

    def device_of(self, x: Any) -> str:
        """The name of the device on which a tensor is."""
        return "cpu:0"

    # -- in the library's own programs -------------------------------------------------------------------------------

    def attribute(self, layer: Any, name: str) -> Any:
        """What a layer offers to the library's own programs beside its public names.

        Raises:
            AttributeError: there is no such thing.
        """
        raise AttributeError(name)

    def seen_as(self, kind: type) -> type:
        """What isinstance() takes a layer or variable of a class for, beside that class."""
        return kind

    def stands_for(self, variable: Any) -> Any:
        """What offers a variable's further attributes: its tensor."""
        return variable.value

    def welcome(self, kind: type) -> None:
        """Make the library's own functions take objects of a class that has `__triceras_tensor__`."""

    def trained(self, held: Any, trainable: bool) -> Any:
        """What a variable keeps when it is trained, or isn't any longer."""
        return held

    def host(self, kind: str, *code: Any) -> Guest:
        """Native code of some kind, as layers hold it.

        Raises:
            EngineError: this engine doesn't run such code.
        """
        raise EngineError(f"The engine {self} runs no {kind}.")

    def adapted(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """A native, or an op's generic body, as this engine runs it."""
        return run

    def traced(self, x: Any) -> bool:
        """Whether a tensor has no values yet, for a function of it is being traced."""
        return False

    def deferred(self, fn: Callable[..., Any], tensors: Sequence[Any], spec: Any) -> Any:
        """A tensor of what a function of NumPy arrays will make of traced tensors, once they have values.

        Args:
            fn: returns an array, or a list of them.
            tensors: its arguments.
            spec: a symbolic tensor like the result, or a list of them.

        Raises:
            EngineError: compiled functions of this engine can't do that.
        """
        raise EngineError(
            f"Text and other values of the host can't be computed inside a compiled step of the engine {self}. "
            "Do that before: call the layer on the data, or on the predictions."
        )

    def profile(self, folder: str) -> AbstractContextManager[Any]:
        """A block that the library's own profiler watches; what it saw goes to a folder, for TensorBoard.

        Raises:
            EngineError: the library has no profiler.
        """
        raise EngineError(f"The engine {self} has no profiler.")

    def synchronize(self, tensors: Any) -> None:
        """Wait until tensors are computed."""
