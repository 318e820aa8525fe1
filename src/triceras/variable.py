"""Variables: named holders of one engine tensor. All state lives in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from triceras.core import dtypes
from triceras.core.errors import ArgumentError, EngineError, FileFormatError, ShapeError, StateError
from triceras.core.registry import export
from triceras.core.scope import Local, unique_name
from triceras.core.spec import standardize_shape
from triceras.engine import selection
from triceras.engine.contract import Engine, StateScope, state
from triceras.ops import operators

autocast: Local[str | None] = Local("autocast", None)
name_stack: Local[tuple[str, ...]] = Local("name_stack", ())
room: Local[list[int] | None] = Local("room", None)  # how many numbers new variables may still hold

AGGREGATIONS = ("none", "mean", "sum", "only_first_replica")


@export("name_scope")
class name_scope:  # noqa: N801 - a context manager with the reference's name
    """Prefix the paths of variables and layers made in the block.

    >>> with name_scope("head"):
    ...     Variable(1.0, name="scale").path
    'head/scale'
    """

    def __init__(
        self, name: str, caller: Any = None, deduplicate: bool = True, override_parent: str | None = None
    ) -> None:
        if not isinstance(name, str) or "/" in name:
            raise ArgumentError(f"`name` must be a string without '/'. Received: {name!r}")
        self.name = name
        self._override = override_parent

    def __enter__(self) -> name_scope:
        stack = (
            name_stack.get() if self._override is None else tuple(p for p in self._override.split("/") if p)
        )
        self._block = name_stack((*stack, self.name))
        self._block.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._block.__exit__()


@export("Variable")
class Variable:
    """A mutable tensor with a name, which engines thread through compiled steps.

    Args:
        initializer: an array or number, or a callable `(shape, dtype)` such as an initializer (then `shape` is needed).
        shape: sizes, for a callable initializer.
        dtype: defaults to floatx, or to the array's dtype.
        trainable: whether gradients are taken for it.
        autocast: whether mixed precision may read it in the compute dtype.
        aggregation: how replicas combine: "none", "mean", "sum" or "only_first_replica".
        synchronization: accepted for compatibility: "auto", "none", "on_write" or "on_read".
        name: without "/"; made automatically if not given.
        layout: accepted by distribution.

    >>> v = Variable([1.0, 2.0], name="v")
    >>> v.assign_add([1.0, 1.0]).numpy().tolist()
    [2.0, 3.0]
    """

    # `__class__` is what isinstance() looks at beside the type: what the engine's library takes a variable for
    __slots__ = (
        "__class__", "__weakref__", "_autocast", "_declared", "_dtype", "_frozen", "_regularizer", "_trainable",
        "aggregation", "constraint", "engine", "exposed",
        "held", "layout", "name", "overwrite_with_gradient", "path", "shape", "synchronization",
    )  # fmt: skip
    __array_priority__ = 1000

    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
        layout: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise ArgumentError(f"Variable got unknown arguments: {sorted(kwargs)}")
        name = name or unique_name("variable")
        if not isinstance(name, str) or "/" in name:
            raise ArgumentError(f"A variable's `name` must be a string without '/'. Received: {name!r}")
        if aggregation not in (None, *AGGREGATIONS):
            raise ArgumentError(f"`aggregation` must be one of {AGGREGATIONS}. Received: {aggregation!r}")
        if synchronization not in (None, "none", "auto", "on_write", "on_read"):
            raise ArgumentError(
                f"`synchronization` must be auto, none, on_write or on_read. Received: {synchronization!r}"
            )
        self.name, self.path = name, "/".join((*name_stack.get(), name))
        self.aggregation, self.synchronization, self.layout = aggregation or "none", synchronization, layout
        self._trainable, self._autocast, self._frozen = bool(trainable), bool(autocast), False
        self.constraint: Callable[[Any], Any] | None = None
        self._regularizer: Any = None
        self.overwrite_with_gradient = False
        self.engine: Engine = selection.current()
        self.__class__ = self.engine.seen_as(type(self))
        if isinstance(initializer, str):
            from triceras import initializers

            initializer = initializers.get(initializer)
        if callable(initializer):
            if shape is None:
                raise ArgumentError(
                    f"Variable {self.path!r} has a callable `initializer`, so it needs `shape`."
                )
            shape = standardize_shape(shape)
            if None in shape:
                raise ShapeError(f"Variable {self.path!r} needs a fully known shape. Received: {shape}")
            _take_room(shape, self.path)
            dtype = dtypes.standardize_dtype(dtype)
            values = getattr(
                initializer, "values", None
            )  # ours give NumPy arrays, the same ones for every engine
            array = values(shape, dtype, self.path) if values else initializer(shape, dtype=dtype)
        else:
            array = initializer
        array = _numpy(array)
        if dtype is None:
            is_data = hasattr(initializer, "dtype") and not callable(initializer)
            dtype = (
                array.dtype
                if is_data
                else (int if array.dtype.kind in "iu" else bool if array.dtype == bool else None)
            )
        self._declared = dtypes.standardize_dtype(dtype)
        self.held = self.engine.hold(np.asarray(array, dtype=self._declared), self._trainable)
        if shape is not None and tuple(shape) != tuple(array.shape):
            raise ShapeError(
                f"Variable {self.path!r}: the initial value has shape {array.shape}, expected {tuple(shape)}."
            )
        self.exposed = False  # whether somebody outside may hold the tensor, so that it can't be overwritten
        self.shape: tuple[int, ...] = tuple(array.shape)
        self._dtype = self.engine.canonical(self._declared)

    # -- reading and writing -----------------------------------------------------------------------------------------

    @property
    def raw(self) -> Any:
        """The tensor as it is stored, seen through the running trace."""
        scope = state.get()
        if scope is None:
            self.exposed = True
            return self.engine.read(self.held)
        return scope.read(self)

    @raw.setter
    def raw(self, value: Any) -> None:
        scope = state.get()
        if scope is None:
            self.held, self.exposed = self.engine.store(self.held, value), True
        else:
            scope.write(self, value)

    @property
    def value(self) -> Any:
        """The tensor, in the compute dtype inside a layer with mixed precision."""
        scope = state.get()
        if scope is None:
            self.exposed = True
            value = self.engine.read(self.held)
        else:
            value = scope.read(self)
        dtype = autocast.get()
        if (
            dtype is not None
            and self._autocast
            and dtype != self._dtype
            and dtypes.is_float_dtype(self._dtype)
        ):
            return self.engine.cast(value, dtype)
        return value

    __triceras_tensor__ = value.fget

    @property
    def dtype(self) -> str:
        """Name of the dtype; the compute dtype inside a layer with mixed precision."""
        dtype = autocast.get()
        if dtype is not None and self._autocast and dtypes.is_float_dtype(self._dtype):
            return dtype
        return self._dtype

    def assign(self, value: Any) -> Variable:
        """Store a value of the same shape, cast to this variable's dtype.

        Raises:
            ShapeError: the shapes differ.
        """
        value = self._own(value)
        if tuple(value.shape) != self.shape:
            raise ShapeError(
                f"Variable {self.path!r} has shape {self.shape} and can't hold a value of shape {tuple(value.shape)}."
            )
        self.raw = value
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the stored value."""
        return self.assign(self.raw + self._own(value))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the stored value."""
        return self.assign(self.raw - self._own(value))

    def _own(self, value: Any) -> Any:
        """A value as a tensor of this variable's engine and dtype."""
        if hasattr(value, "__triceras_tensor__"):
            value = value.__triceras_tensor__()
        owner = selection.engine_of(type(value))
        if owner is self.engine:
            same = dtypes.standardize_dtype(value.dtype) == self._dtype
            return value if same else owner.cast(value, self._dtype)
        if owner is not None:
            value = owner.to_numpy(value)
        return self.engine.make(value, self._dtype)

    @property
    def device(self) -> str:
        """Where the value is, such as "cpu:0"."""
        return self.engine.device_of(self.engine.read(self.held))

    @property
    def place(self) -> tuple[Any, ...]:
        """What holds the value, and where, so that a move can be undone."""
        return self.engine, self.held, self._dtype, self.exposed

    @place.setter
    def place(self, place: tuple[Any, ...]) -> None:
        self.engine, self.held, self._dtype, self.exposed = place
        self.__class__ = self.engine.seen_as(type(self))

    def __reduce__(self) -> Any:
        return object.__new__, (type(self),), self.__getstate__()

    def move(self, engine: Engine, device: str | None = None, copy: bool = False) -> None:
        """Hold the value in another engine, or on another of its devices.

        Args:
            engine: where to.
            device: None for the engine's default.
            copy: hold a copy also if the value is there already.

        Raises:
            StateError: a step is being traced.
        """
        if engine is self.engine and not copy and (device is None or device == self.device):
            return
        if state.get() is not None:
            raise StateError(
                f"Variable {self.path!r} can't move from {self.engine} to {engine} inside a step. Move the model "
                "before or after it."
            )
        # through the host's memory: between CPUs that is a view and one copy, so nothing would be gained by DLPack
        array = self.engine.to_numpy(self.engine.read(self.held)).astype(self._declared, copy=False)
        with selection.running(engine, device):
            held = engine.hold(array, self._trainable)
        if self._frozen:
            held = engine.trained(held, False)
        self.place = engine, held, engine.canonical(self._declared), False

    def numpy(self) -> np.ndarray:
        """A copy of the value as a NumPy array."""
        scope = state.get()
        value = self.engine.read(self.held) if scope is None else scope.read(self)
        return np.array(self.engine.to_numpy(value))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    # -- properties --------------------------------------------------------------------------------------------------

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        self.held = self.engine.trained(self.held, self._trainable and not self._frozen)

    @property
    def frozen(self) -> bool:
        """Whether the layer around it isn't trained; only the engine's library needs to know."""
        return self._frozen

    @frozen.setter
    def frozen(self, value: bool) -> None:
        if value is not self._frozen:
            self._frozen = value
            self.held = self.engine.trained(self.held, self._trainable and not value)

    @property
    def regularizer(self) -> Any:
        return self._regularizer

    @regularizer.setter
    def regularizer(self, value: Any) -> None:
        if value is not None and not callable(value):
            raise ArgumentError(f"`regularizer` of {self.path!r} must be callable. Received: {value!r}")
        self._regularizer = value

    @property
    def regularization_loss(self) -> Any:
        """The penalty of this variable's regularizer."""
        return None if self._regularizer is None else self._regularizer(self)

    def __getattr__(self, name: str) -> Any:
        """What a variable lacks and its tensor has, such as `T` or `at`."""
        if not name.startswith("__"):
            engine = object.__getattribute__(self, "engine")
            try:
                return getattr(engine.stands_for(self), name)
            except AttributeError:
                pass
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __float__(self) -> float:
        return float(self.numpy().item())

    def __int__(self) -> int:
        return int(self.numpy().item())

    def __index__(self) -> int:
        return self.numpy().item().__index__()

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"Variable {self.path!r} is a scalar and has no length.")
        return self.shape[0]

    def __repr__(self) -> str:
        return (
            f"<Variable path={self.path}, shape={self.shape}, dtype={self._dtype}, engine={self.engine.name}>"
        )


def _take_room(shape: tuple[int, ...], path: str) -> None:
    left = room.get()
    if left is not None:
        left[0] -= math.prod(shape)
        if left[0] < 0:
            raise FileFormatError(
                f"The file is refused: with {path!r} of shape {shape} its model has far more weights than it stores."
            )


def _numpy(value: Any) -> np.ndarray:
    owner = selection.engine_of(type(value))
    return np.asarray(owner.to_numpy(value) if owner else value)


@export("value_and_grad")
def value_and_grad(
    fn: Callable[..., Any], variables: Sequence[Variable], has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns what `fn` returns, and its gradients by the variables: the core of a custom train step.

    Args:
        fn: computes a scalar, or `(scalar, anything)` with `has_aux`; it may read and assign any variable.
        variables: those to differentiate by.
        has_aux: whether `fn` returns something beside the scalar.

    Returns:
        A function of `fn`'s arguments that returns `(result of fn, gradients)`.

    >>> v = Variable(3.0)
    >>> value, grads = value_and_grad(lambda: v.value * v.value, [v])()
    >>> float(value), float(grads[0])
    (9.0, 6.0)
    """
    variables = list(variables)
    engines = {v.engine for v in variables} or {selection.current()}
    if len(engines) > 1:
        where = ", ".join(f"{v.path}: {v.engine}" for v in variables)
        raise EngineError(f"value_and_grad() needs variables of one engine. Received {where}.")
    engine = engines.pop()
    run = engine.value_and_grad(fn, variables, has_aux)
    if engine is selection.current():
        return run

    def run_there(*args: Any, **kwargs: Any) -> Any:
        with selection.running(engine):
            return run(*args, **kwargs)

    return run_there


def with_values(
    run: Callable[[], Any], **groups: tuple[Sequence[Variable], Sequence[Any]]
) -> tuple[Any, list[list[Any]]]:
    """What a function returns for given values of variables, which stay as they are.

    Args:
        run: reads and assigns variables.
        **groups: lists of variables and their values, by the name for messages.

    Returns:
        `run()`, and for each group the variables' values after it.

    Raises:
        ArgumentError: another number of values than of variables.

    >>> v = Variable(2.0)
    >>> result, [[after]] = with_values(lambda: v.value * 10.0, variables=([v], [5.0]))
    >>> float(result), float(after), float(v)
    (50.0, 5.0, 2.0)
    """
    known: list[Variable] = []
    tensors: list[Any] = []
    for what, (variables, values) in groups.items():
        if len(values) != len(variables):
            raise ArgumentError(f"`{what}` must hold {len(variables)} values. Received {len(values)}.")
        known += variables
        tensors += [v._own(value) for v, value in zip(variables, values, strict=True)]
    scope = StateScope(known, tensors, state.get() or StateScope((), ()))
    with state(scope):
        result = run()
        return result, [[scope.read(v) for v in variables] for variables, _ in groups.values()]


stateless: Local[StatelessScope | None] = Local("stateless", None)


@export("StatelessScope")
class StatelessScope:
    """A block in which variables are read and assigned without a change of the variables themselves.

    Args:
        state_mapping: pairs (variable, value) of values that they have in the block at first; others keep theirs.
        collect_losses: whether losses that layers add in the block are gathered in `losses`.
        initialize_variables: accepted for compatibility: variables made in the block have their values at once.

    >>> v = Variable(2.0)
    >>> with StatelessScope([(v, 5.0)]) as scope:
    ...     after = v.assign(v.value + 1.0)
    >>> float(scope.get_current_value(v)), float(v)
    (6.0, 2.0)
    """

    def __init__(
        self, state_mapping: Any = None, collect_losses: bool = False, initialize_variables: bool = True
    ) -> None:
        self._given: list[tuple[Variable, Any]] = []
        for pair in state_mapping or ():
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], Variable):
                raise ArgumentError(
                    f"StatelessScope(): `state_mapping` must hold pairs (variable, value). Received: {pair!r}"
                )
            variable, value = pair[0], pair[0]._own(pair[1])
            if tuple(value.shape) != tuple(variable.shape):
                raise ShapeError(
                    f"StatelessScope(): variable {variable.path!r} has shape {tuple(variable.shape)}. Received a value "
                    f"of shape {tuple(value.shape)}"
                )
            self._given.append((variable, value))
        self.collect_losses, self.losses = bool(collect_losses), []
        self._scope: StateScope | None = None

    def __enter__(self) -> StatelessScope:
        variables, values = ([pair[i] for pair in self._given] for i in (0, 1))
        self._scope = StateScope(variables, values, state.get() or StateScope((), ()))
        self._blocks = state(self._scope), stateless(self)
        for block in self._blocks:
            block.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        for block in reversed(self._blocks):
            block.__exit__()

    def add_loss(self, loss: Any) -> None:
        """Keep a loss in `losses`."""
        self.losses.append(loss)

    def add_update(self, update: tuple[Variable, Any]) -> None:
        """Give a variable another value in the block, as `assign` does.

        Args:
            update: the variable and its value.
        """
        variable, value = update
        self._entered().write(variable, variable._own(value))

    def get_current_value(self, variable: Variable) -> Any:
        """The value that a variable has, or had in the end, in the block; None if it was neither given nor
        assigned one."""
        scope = self._entered()
        known = id(variable) in scope.written or any(v is variable for v, _ in self._given)
        return scope.read(variable) if known else None

    def _entered(self) -> StateScope:
        if self._scope is None:
            raise StateError(
                "A StatelessScope has values only in and after its block: with StatelessScope() ..."
            )
        return self._scope


def assign_where(condition: Any, action: Callable[[], Any]) -> None:
    """Run an action that assigns variables, and keep what it assigned only where a scalar condition holds.

    The action always runs, so that one compiled step serves both cases.
    """
    from triceras import ops

    scope = StateScope((), (), state.get() or StateScope((), ()))
    with state(scope):
        action()
    for variable, value in zip(*scope.collect(), strict=True):
        variable.assign(ops.where(condition, value, variable.raw))


operators.bind(Variable)
selection.introduce(Variable)
