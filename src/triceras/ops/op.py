"""The mechanism of ops: one decorated function gives the public name, promotion, dispatch and symbolic calls.

    @op(promote=promote_float)
    def logaddexp(x1: Tensor, x2: Tensor) -> Tensor:
        \"\"\"Logarithm of the sum of exponentials, elementwise, without overflow.\"\"\"
        return maximum(x1, x2) + log1p(exp(-abs(x1 - x2)))

Annotations say what each argument is: `Tensor` (converted, promoted with the others), `Tensors` (a list of
such), `Kept` (converted, keeps its own dtype), `Filler` (kept, too, but Python numbers stay numbers);
everything else is static. A body of `...` makes the op a primitive, which each engine supplies; otherwise an
engine's native of the same name is used where there is one, else the body. Natives get tensors by position
and static arguments by keyword.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from triceras.core import config, dtypes, tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentTypeError, EngineError, ShapeError, TricerasError, shown
from triceras.core.registry import export
from triceras.core.scope import Local, unique_name
from triceras.core.spec import KerasTensor, recording
from triceras.engine import selection
from triceras.engine.contract import Engine
from triceras.ops.infer import aside, infer
from triceras.ops.operation import Operation, constant, is_symbolic

Tensor = Any
Tensors = Sequence[Any]
Kept = Any
Filler = Any


def _bare() -> None: ...


def _documented() -> None:
    """."""


_EMPTY = {_bare.__code__.co_code, _documented.__code__.co_code}  # of a body that is `...`
OPS: dict[str, Op] = {}
in_body = Local("in_body", False)  # whether a body is run with symbolic tensors
NUMBERS = (bool, int, float, complex)
_PLAIN = (*NUMBERS, type(None))


class _Text(str):
    """A default that stands in generated code as it is written."""

    __repr__ = str.__str__


class OpError(TricerasError, ValueError, TypeError):
    """An op was given arguments that it can't compute on."""


class Op:
    """One op: its body, its dtype rule, and how it is run on an engine."""

    def __init__(
        self,
        body: Callable[..., Any],
        promote: Callable[[tuple[str, ...]], str] | None,
        spec: Callable[..., Any] | None,
        saved: Sequence[str] = (),
        passed: Sequence[str] = (),
    ) -> None:
        self.name = body.__name__
        self.body, self.promote, self.spec = body, promote, spec
        self.signature = inspect.signature(body)
        kinds = {n: str(p.annotation).replace(" | None", "") for n, p in self.signature.parameters.items()}
        self.tensors = tuple(n for n, k in kinds.items() if k in ("Tensor", "Tensors", "Kept", "Filler"))
        self.promoted = frozenset(n for n in self.tensors if kinds[n] in ("Tensor", "Tensors"))
        self.fillers = frozenset(n for n in self.tensors if kinds[n] == "Filler")
        self.lists = frozenset(n for n in self.tensors if kinds[n] == "Tensors")
        self.statics = tuple(n for n in self.signature.parameters if n not in self.tensors)
        self.config = tuple(saved)  # arguments that saved configs hold though they may be tensors
        self.passed = tuple(passed)  # static arguments that saved graphs hold among a call's inputs
        self.primitive = body.__code__.co_code in _EMPTY
        if tuple(self.signature.parameters)[: len(self.tensors)] != self.tensors:
            self.body = self._by_name(body)
        self.fast: dict[Any, Callable[..., Any]] = {}  # what runs on tensors of these types and dtypes
        self._plans: dict[Any, Callable[..., Any]] = {}
        self._specs: dict[Any, Any] = {}
        config.on_floatx.append(self.forget)

    def _by_name(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose tensors aren't its first parameters, called with them first."""
        return lambda *values, **statics: function(**dict(zip(self.tensors, values, strict=True)), **statics)

    def forget(self) -> None:
        """Drop what was found out about arguments; it holds for one default float type."""
        for found in (self.fast, self._plans, self._specs):
            found.clear()

    # -- running ---------------------------------------------------------------------------------------------

    def implementation(self, engine: Engine) -> Callable[..., Any]:
        """What runs on an engine: its native, else the body."""
        found = engine.natives.get(self.name)
        if found is None and self.primitive:
            raise EngineError(f"The engine {engine.name!r} has no {self.name}().")
        return engine.adapted(found or partial(self._run_body, engine))

    def _run_body(self, engine: Engine, *values: Any, **statics: Any) -> Any:
        """The body, with its engine active, for the constants that it makes."""
        if selection.current() is engine:
            return self.body(*values, **statics)
        with selection.running(engine):
            return self.body(*values, **statics)

    def slow(self, values: list[Any], statics: dict[str, Any]) -> Any:
        """Any call: symbolic arguments, variables, NumPy arrays, Python numbers, mixed dtypes.

        What was found out about the arguments' types is kept in `fast`, where the public function looks.
        """
        if any(map(is_symbolic, values)):
            return self.symbolic(values, statics)
        kinds = _kinds(values)
        held = [i for i, value in enumerate(values) if hasattr(value, "__triceras_tensor__")]
        if held:
            unwrapped = [v.__triceras_tensor__() if i in held else v for i, v in enumerate(values)]
            result = self.call(*unwrapped, **statics)
            run = self.fast.get(_kinds(unwrapped))
            self._keep(self.fast, kinds, values, self._unwrapping(values, held, run))
            return result
        engine = self._engine(values)
        run = self._plans.get((engine.name, kinds))
        if run is None:
            run = self._plan(engine, values)
            self._keep(self._plans, (engine.name, kinds), values, run)
            if any(selection.engine_of(type(v)) for v in _one_by_one(values)):
                self._keep(self.fast, kinds, values, run)
        try:
            return run(*values, **statics)
        except Exception as error:
            self.explain(error, values, statics)

    def bare(self, statics: dict[str, Any]) -> Any:
        """A call of an op without tensors."""
        engine = selection.current()
        run = self._plans.get(engine.name)
        if run is None:
            run = self._plans[engine.name] = self.implementation(engine)
        try:
            return run(**statics)
        except Exception as error:
            self.explain(error, [], statics)

    def run(self, values: Sequence[Any], statics: dict[str, Any]) -> Any:
        """A call by position, as fast as through the public function."""
        run = self.fast.get(_kinds(values))
        return run(*values, **statics) if run else self.slow(list(values), statics)

    def _keep(self, found: dict[Any, Any], key: Any, values: list[Any], run: Callable[..., Any]) -> None:
        """Remember what runs, if types and dtypes say all about the arguments (not so for nested lists)."""
        if len(found) < 4096 and all(type(v) in _PLAIN or _is_known(v) for v in values):
            found[key] = run

    def _unwrapping(
        self, values: list[Any], held: list[int], run: Callable[..., Any] | None
    ) -> Callable[..., Any]:
        """What replaces variables by their values and calls again: `run` if it surely fits, else `call`."""
        engine = next(filter(None, (selection.engine_of(type(v)) for v in values)), None)
        names = list(self.tensors)
        unwrapped = [f"{n}.__triceras_tensor__()" if i in held else n for i, n in enumerate(names)]
        rest = ["**statics"] if self.statics else []
        given = ", ".join([*unwrapped, *rest])
        lines = [f"def unwrap({', '.join([*names, *rest])}):"]
        alike = engine is not None and all(getattr(values[i], "engine", None) is engine for i in held)
        if run is not None and alike:
            same = " and ".join(f"{names[i]}.engine is _engine" for i in held)
            lines += [f"    if {same}:", f"        return _run({given})"]
        lines.append(f"    return _call({given})")
        scope = {"_engine": engine, "_run": run, "_call": self.call}
        exec(compile("\n".join(lines), f"<variables of {self.name}>", "exec"), scope)  # our own text only
        return scope["unwrap"]

    def _engine(self, values: list[Any]) -> Engine:
        """The engine of the first tensor or variable among the arguments, else the active one."""
        for value in _one_by_one(values):
            value = value.__triceras_tensor__() if hasattr(value, "__triceras_tensor__") else value
            engine = selection.engine_of(type(value))
            if engine is not None:
                return engine
        return selection.current()

    def _plan(self, engine: Engine, values: list[Any]) -> Callable[..., Any]:
        """What runs on an engine for arguments of these types: the conversions they need, then the op."""
        run = self.implementation(engine)
        target = self._target(values)
        # a native may take Python numbers beside a tensor as they are, which costs least
        beside = self.name in engine.takes_numbers and any(type(v) not in _PLAIN for v in values)
        numbers = self.fillers | self.promoted if beside else self.fillers
        converters = []
        for name, value in zip(self.tensors, values, strict=True):
            dtype = target if name in self.promoted else None
            each = value if name in self.lists and value is not None else [value]
            if value is None or all(
                dtype in (None, dtypes.standardize_dtype(v.dtype))
                if selection.engine_of(type(v)) is engine
                else name in numbers and type(v) in NUMBERS
                for v in each
            ):
                converters.append(None)
            elif name in self.lists:
                converters.append(lambda items, dtype=dtype: [_tensor(engine, v, dtype) for v in items])
            else:
                converters.append(partial(_tensor, engine, dtype=dtype))
        if not any(converters):
            return run

        def convert_and_run(*values: Any, **statics: Any) -> Any:
            return run(
                *[v if c is None else c(v) for c, v in zip(converters, values, strict=True)], **statics
            )

        return convert_and_run

    def explain(self, error: Exception, values: Sequence[Any], statics: dict[str, Any]) -> NoReturn:
        """Raise an error that says what was received, with the engine's reason in one line."""
        if isinstance(error, (TricerasError, NotImplementedError, MemoryError, *selection.current().signals)):
            raise error
        received = ", ".join(
            f"{n}={_described(v)}" for n, v in zip(self.tensors, values, strict=False) if v is not None
        )
        received += "".join(f", {n}={shown(v, 60)}" for n, v in statics.items())
        reason = " ".join(str(error).split())
        raise OpError(
            f"{self.name.lstrip('_')}() can't be computed: {reason[:400]}\nReceived: {received}"
        ) from error

    # -- symbolic --------------------------------------------------------------------------------------------

    def symbolic(self, values: list[Any], statics: dict[str, Any]) -> Any:
        """The symbolic result; recorded as a node unless recording is off."""
        values = [v.__triceras_tensor__() if hasattr(v, "__triceras_tensor__") else v for v in values]
        outputs = self.infer(values, statics)
        if recording.get():
            kept, fixed = len(values), {}
            while kept and (
                values[kept - 1] is None or self._configured(self.tensors[kept - 1], values[kept - 1])
            ):
                kept -= 1
                if values[kept] is not None:
                    fixed[self.tensors[kept]] = values[kept]
            OpCall(self, tree.map_structure(constant, fixed | statics))._record(
                tuple(values[:kept]), {}, outputs
            )
        return outputs

    def _configured(self, name: str, value: Any) -> bool:
        """Whether an argument belongs to the node's config rather than to its inputs."""
        return name in self.config and not is_symbolic(value)

    def infer(self, values: list[Any], statics: dict[str, Any]) -> Any:
        """Fresh symbolic tensors for the result, cached by what they depend on."""
        if in_body.get() and any(None in (statics.get(name) or ()) for name in ("shape", "newshape")):
            raise ShapeError("a size isn't known")  # in a caller's argument None means something else
        try:
            key = (selection.current().name, config.image_data_format(), _frozen(values), _frozen(statics))
            found = self._specs.get(key)
        except TypeError:
            key = found = None
        if found is None:
            try:
                found = (self.spec or Op.evaluated)(self, values, statics)
            except Exception as error:
                self.explain(error, values, statics)
            if key is not None and len(self._specs) < 4096:
                self._specs[key] = found
        return _fresh(found) if isinstance(found, KerasTensor) else tree.map_structure(_fresh, found)

    def evaluated(self, values: list[Any], statics: dict[str, Any]) -> Any:
        """The result through the parts of the body, which mostly know theirs, else by evaluating abstractly.

        Of operands only shapes and dtypes count, unless that can't be.
        """
        specs = [_as_spec(v) for v in values]
        if not self.primitive:
            try:
                with aside(), in_body(True):
                    found = self.body(*self._promoted(specs), **statics)
                if all(isinstance(x, KerasTensor) for x in tree.flatten(found)):
                    return found
            except Exception:  # the body looks at sizes that aren't known
                pass
        try:
            return infer(self._apply, (specs, statics), {})
        except Exception:
            if not any(selection.engine_of(type(v)) for v in tree.flatten(values)):
                raise
            return infer(self._apply, (values, statics), {})

    def _promoted(self, specs: list[Any]) -> list[Any]:
        """Operands as the body gets them."""
        target, found = self._target(specs), []
        for name, spec in zip(self.tensors, specs, strict=True):
            dtype = target if name in self.promoted else None
            several = name in self.lists and spec is not None
            each = [
                v
                if v is None
                else KerasTensor(_shape(v), dtype or standardize_dtype(getattr(v, "dtype", type(v))))
                for v in (spec if several else [spec])
            ]
            found.append(each if several else each[0])
        return found

    def _target(self, values: list[Any]) -> str | None:
        """The dtype to which operands are promoted; None where they keep theirs."""
        if self.promote is None:
            return None
        kinds: list[str] = []
        for name, value in zip(self.tensors, values, strict=True):
            if name in self.promoted and value is not None:
                kinds += map(_kind, value) if name in self.lists else [_kind(value)]
        return self.promote(tuple(kinds)) if kinds else None

    def _apply(self, values: list[Any], statics: dict[str, Any]) -> Any:
        return self.slow(values, statics)


class OpCall(Operation):
    """One use of an op, as a node of a graph: it takes tensors and knows the other arguments."""

    def __new__(cls, *args: Any, **kwargs: Any) -> OpCall:
        return object.__new__(cls)

    def __init__(self, op: Op, arguments: dict[str, Any], name: str | None = None) -> None:
        super().__init__(name or unique_name(op.name))
        self.op, self.arguments = op, arguments
        self.statics = {k: v for k, v in arguments.items() if k not in op.tensors}

    def __call__(self, *given: Any) -> Any:
        values = (*given, *(self.arguments.get(name) for name in self.op.tensors[len(given) :]))
        if any(map(is_symbolic, values)):
            return self._record(given, {}, self.op.infer(list(values), self.statics))
        return self.op.run(values, self.statics)

    call = __call__

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **self.arguments}


def op(
    promote: Callable[[tuple[str, ...]], str] | None = None,
    *,
    spec: Callable[..., Any] | None = None,
    at: Sequence[str] = ("ops",),
    aliases: Sequence[str] = (),
    config: Sequence[str] = (),
    passed: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Define an op.

    Args:
        promote: the dtype rule over all `Tensor` arguments; None leaves dtypes alone.
        spec: `spec(op, values, statics)` gives the symbolic result where evaluating abstractly can't.
        at: public namespaces; none for what only other ops use.
        aliases: further public names.
        config: names of tensor arguments that saved configs hold.
        passed: names of static arguments that saved graphs hold among the inputs of a call.
    """

    def define(body: Callable[..., Any]) -> Callable[..., Any]:
        made = Op(body, promote, spec, config, passed)
        OPS[made.name] = made
        call = _wrapper(made)
        call.op = made  # type: ignore[attr-defined]
        for name in (made.name, *aliases) if at else ():
            export(*(f"{space}.{name}" for space in at))(call)
        return call

    return define


def elementwise(
    promote: Callable[[tuple[str, ...]], str] | None = None, result: str | None = None, **options: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Define an op whose result has its tensors' broadcast shape, and their promoted dtype or `result`."""

    def spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
        kinds, shape = [], ()
        for name, value in zip(made.tensors, values, strict=True):
            if value is not None:
                shape = broadcast_shapes(shape, _shape(value))
                if name in made.promoted:
                    kinds.append(_kind(value))
        return KerasTensor(shape, result or (promote or dtypes.promote)(tuple(kinds)))

    return op(promote, spec=spec, **options)


def _wrapper(made: Op) -> Callable[..., Any]:
    """A function with the op's own signature: one dict lookup leads to the engine for tensors seen before."""
    parameters = made.signature.parameters.values()
    bare = [
        p.replace(
            annotation=p.empty, default=p.empty if p.default is p.empty else _Text(f"_default_{p.name}")
        )
        for p in parameters
    ]
    header = made.signature.replace(parameters=bare, return_annotation=made.signature.empty)
    values = ", ".join(made.tensors)
    statics = ", ".join(f"{n}={n}" for n in made.statics)
    as_dict = "{" + ", ".join(f"{n!r}: {n}" for n in made.statics) + "}"
    lines = [f"def {made.name}{header}:"]
    if not made.tensors:
        lines.append(f"    return _bare({as_dict})")
    else:
        key = ", ".join(f"{n}.__class__, getattr({n}, 'dtype', None)" for n in made.tensors)
        lines += [
            "    try:",
            f"        run = _fast[{f'_kinds([{values}])' if made.lists else key}]",
            "    except (KeyError, TypeError):",
            f"        return _slow([{values}], {as_dict})",
            "    try:",
            f"        return run({', '.join(filter(None, (values, statics)))})",
            "    except Exception as error:",
            f"        _explain(error, [{values}], {as_dict})",
        ]
    names = {f"_default_{p.name}": p.default for p in parameters}
    names |= {
        "_slow": made.slow,
        "_bare": made.bare,
        "_fast": made.fast,
        "_explain": made.explain,
        "_kinds": _kinds,
    }
    # the text is made of our own signatures only
    exec(compile("\n".join(lines), f"<op {made.name}>", "exec"), names)
    call = names[made.name]
    call.__doc__, call.__module__ = made.body.__doc__, made.body.__module__
    call.__annotations__, call.__signature__ = made.body.__annotations__, made.signature
    call.__wrapped__ = made.body
    made.call = (
        call if tuple(made.signature.parameters)[: len(made.tensors)] == made.tensors else made._by_name(call)
    )
    return call


def broadcast_shapes(*shapes: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The shape of several broadcast together; an unknown size gives way to a known one above 1.

    >>> broadcast_shapes((None, 3), (5, 1))
    (5, 3)
    """
    result: list[int | None] = []
    rank = max(map(len, shapes), default=0)
    for axis in range(-rank, 0):
        sizes = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        known = sizes - {None}
        if len(known) > 1:
            raise OpError(f"The shapes {' and '.join(map(str, shapes))} don't broadcast together.")
        result.append(next(iter(known)) if known else (None if sizes else 1))
    return tuple(result)


def _kind(value: Any) -> str:
    """A value's node in the promotion lattice."""
    kind = type(value)
    if kind in NUMBERS:
        return dtypes.weak_name(kind)
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        dtype = _array(value).dtype
    return dtypes.standardize_dtype(dtype)


def _kinds(values: Sequence[Any]) -> tuple[Any, ...]:
    """The key of `fast`: type and dtype of each argument, and of those in lists."""
    found: list[Any] = []
    for value in values:
        kind = value.__class__
        found.append(kind)
        found.append(_kinds(value) if kind is list or kind is tuple else getattr(value, "dtype", None))
    return tuple(found)


def _is_known(value: Any) -> bool:
    """Whether types and dtypes say all about an argument; of numbers in lists the values count, too."""
    if isinstance(value, (list, tuple)):
        return all(getattr(v, "dtype", None) is not None for v in value)
    return getattr(value, "dtype", None) is not None


def _one_by_one(values: Sequence[Any]) -> Iterator[Any]:
    """Arguments, and what is in those that are lists."""
    for value in values:
        yield from value if isinstance(value, (list, tuple)) else (value,)


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)


def _array(value: Any) -> np.ndarray:
    """A NumPy array of nested Python lists: floats are floatx and integers int32, as in tensors of lists."""
    array = np.asarray(value)
    if isinstance(value, np.ndarray):
        return array
    if array.dtype == np.float64:
        return array.astype(dtypes.standardize_dtype(float))
    return array.astype("int32") if array.dtype == np.int64 and abs(array).max(initial=0) < 2**31 else array


def _tensor(engine: Engine, value: Any, dtype: str | None) -> Any:
    if type(value) in NUMBERS:
        return engine.make(value, dtype or dtypes.standardize_dtype(type(value)))
    if hasattr(value, "__triceras_tensor__"):
        value = value.__triceras_tensor__()
    owner = selection.engine_of(type(value))
    if owner is not None and owner is not engine:
        raise EngineError(
            f"A tensor of {owner} meets one of {engine} ({_described(value)}). Convert it first, to the active "
            "engine's with ops.convert_to_tensor(x), or to NumPy's with ops.convert_to_numpy(x)."
        )
    if isinstance(value, (list, tuple)):
        if any(
            selection.engine_of(type(v)) or hasattr(v, "__triceras_tensor__") for v in tree.flatten(value)
        ):
            stacked = OPS["stack"].slow([list(value)], {"axis": 0})
            return engine.cast(stacked, dtype) if dtype else stacked
        value = _array(value)
    if isinstance(value, (str, np.ndarray)) and np.asarray(value).dtype.kind in "OSU":
        raise ArgumentTypeError(f"Tensors hold numbers. Received text or objects: {shown(value, 80)}")
    return engine.make(value, dtype)


def _fresh(value: Any) -> Any:
    return KerasTensor(value.shape, value.dtype) if isinstance(value, KerasTensor) else value


def _as_spec(value: Any) -> Any:
    """A symbolic tensor for an engine's one: of operands only shape and dtype matter."""
    if isinstance(value, (list, tuple)):
        return [_as_spec(v) for v in value]
    owner = selection.engine_of(type(value))
    return value if owner is None else KerasTensor(tuple(value.shape), value.dtype)


def _frozen(value: Any) -> Any:
    """A hashable stand-in for what a symbolic result depends on."""
    if isinstance(value, KerasTensor):
        return KerasTensor, value.shape, value.dtype
    if isinstance(value, (list, tuple)):
        return type(value), *map(_frozen, value)
    if isinstance(value, dict):
        return tuple((k, _frozen(v)) for k, v in value.items())
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return "tensor", tuple(value.shape), str(value.dtype)
    hash(value)
    return type(value), value


def _described(value: Any) -> str:
    if isinstance(value, (list, tuple)) and any(hasattr(v, "shape") for v in value):
        return "[" + ", ".join(map(_described, value)) + "]"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{dtypes.standardize_dtype(value.dtype)}{tuple(value.shape)}"
    return shown(value, 60)
