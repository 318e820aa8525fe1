"""The checks that every row of the op tables (cases_*.py) inherits, and those over the set of all ops."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import itertools
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras.ops  # noqa: F401 - defines all ops
from tests.extent import EVERYTHING
from tests.ops.case import Case
from triceras.core import config, registry, tree
from triceras.core.dtypes import COMPLEX, FLOATS, INTEGERS, NARROW, is_float_dtype, standardize_dtype
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.ops.op import OPS, Op
from triceras.variable import Variable

# What is known to differ: (check, engine or "", op) and why. An entry whose check passes fails.
GAPS: dict[tuple[str, str, str], str] = {
    ("compiled", "jax", "bincount"): "the length of the result depends on the data",
    ("compiled", "tensorflow", "bincount"): "the length of the result depends on the data",
    ("compiled", "jax", "nonzero"): "the length of the result depends on the data",
    ("gradient", "jax", "segment_prod"): "JAX has no gradient of scatter-multiply",
}

ENGINES = [name for name in selection.MODULES if selection.installed(name)]
COMPILERS = [name for name in ENGINES if selection.get(name).differentiates]
SPACES = ("ops", "ops.nn", "ops.numpy", "ops.linalg", "ops.image")
TABLES = sorted(Path(__file__).parent.glob("cases_*.py"))
API = Path(__file__).parents[2].parent / "shared" / "api" / "keras-3.15.1.json"

DTYPES = ("bool", *(name for name in INTEGERS if name != "uint64"), "bfloat16", "float16", "float32")
PAIRS = (
    "bool bool, bool uint8, bool int32, bool bfloat16, uint8 int8, uint8 uint8, uint16 int8, uint32 int8, "
    "int16 uint8, int32 uint32, int32 int64, int8 float16, uint32 bfloat16, int32 float32, "
    "bfloat16 float16, float16 float16, float16 float32, bfloat16 bfloat16, int8 int8, int64 int64, "
    "float32 bool, int64 bfloat16"
)


def _collect() -> tuple[list[Case], dict[str, Exception]]:
    cases, broken = [], {}
    for path in TABLES:
        try:
            cases += importlib.import_module(f"tests.ops.{path.stem}").CASES
        except Exception as error:
            broken[path.stem] = error
    return cases, broken


CASES, BROKEN = _collect()


def rows(keep: Callable[[Case], bool] = lambda case: True) -> Any:
    """Parametrize a test over the rows that a check applies to."""
    kept = [case for case in CASES if keep(case)]
    return pytest.mark.parametrize("case", kept, ids=map(str, kept))


def rows_on_compilers(keep: Callable[[Case], bool]) -> Any:
    """Parametrize a test over rows and the engines that transform them by code of ours.

    Unless everything is tried, the first two rows of each op, as a program is compiled for each.
    """
    seen, some = Counter[str](), []
    for case in filter(keep, CASES):
        seen[case.op] += 1
        if EVERYTHING or seen[case.op] <= 2:
            some.append(case)
    kept = [(case, name) for name in COMPILERS for case in some if is_ours(case, name)]
    return pytest.mark.parametrize(
        ("case", "compiler"), kept, indirect=["compiler"], ids=[f"{name}-{case}" for case, name in kept]
    )


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    with selection.running(selection.get(request.param)) as active:
        yield active


@pytest.fixture
def compiler(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The engine whose transformations are checked; `rows_on_compilers` names it."""
    with selection.running(selection.get(request.param)) as active:
        yield active


@pytest.fixture(autouse=True)
def gap(request: pytest.FixtureRequest) -> None:
    """Expect the failures listed in GAPS."""
    arguments = getattr(request.node, "callspec", None)
    if arguments is not None and "case" in arguments.params:
        check = request.node.originalname.removeprefix("test_")
        where = arguments.params.get("engine") or arguments.params.get("compiler", "")
        op = arguments.params["case"].op
        why = GAPS.get((check, where, op)) or GAPS.get((check, "", op))
        if why:
            request.applymarker(pytest.mark.xfail(reason=why, strict=True))


@pytest.fixture(scope="session")
def reference() -> Any:
    """The reference's ops, on JAX."""
    pytest.importorskip("jax")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
    if keras.config.backend() != "jax":
        pytest.skip("the reference runs on another backend than JAX")
    return keras


# -- calling -------------------------------------------------------------------------------------------------


def function(case: Case) -> Callable[..., Any]:
    found = registry.lookup(f"ops.{case.op}")
    assert found is not None, f"ops.{case.op} isn't public"
    return found


def mechanism(case: Case) -> Op | None:
    return getattr(function(case), "op", None)


def call(fn: Callable[..., Any], case: Case, args: Any) -> Any:
    """Call a function with the row's tensor arguments (by name, as they may stand behind static ones)."""
    made = mechanism(case)
    if made is None or any(p.kind is p.VAR_POSITIONAL for p in made.signature.parameters.values()):
        return fn(*args, **case.statics)
    return fn(**dict(zip(made.tensors, args, strict=False)), **case.statics)


def is_ours(case: Case, engine: str) -> bool:
    """Whether an op is more than a function of the library's own, whose derivatives and tracing need no check."""
    made = mechanism(case)
    native = made and selection.get(engine).natives.get(made.name)
    return native is None or str(native.__module__).startswith("triceras")


def kinds(engine: Any, dtypes: Any) -> list[str]:
    """Names of dtypes, up to what the engine's library has instead of some, and in 32 bits."""
    names = [engine.canonical(standardize_dtype(dtype)) for dtype in dtypes]
    return [NARROW.get(name, name) for name in names]


def leaves(structure: Any) -> list[Any]:
    return [x for x in tree.flatten(structure) if x is not None]


def arrays(engine: Any, structure: Any) -> list[np.ndarray]:
    return [
        np.asarray(engine.to_numpy(x)) if hasattr(x, "dtype") else np.asarray(x) for x in leaves(structure)
    ]


def is_data(x: Any, kinds: str = "biufcV") -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in kinds


def replace(args: Any, new: Callable[[Any], Any], where: Callable[[Any], bool] = is_data) -> Any:
    return tree.map_structure(lambda x: new(x) if where(x) else x, args)


def assert_same(got: list[np.ndarray], expected: list[np.ndarray], tol: float) -> None:
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        if a.dtype.kind in "USO":
            assert (a == b).all()
        else:
            wide = "complex128" if "c" in (a.dtype.kind, b.dtype.kind) else "float64"
            np.testing.assert_allclose(a.astype(wide), b.astype(wide), rtol=tol, atol=tol)


def assert_fits(engine: Any, symbolic: list[Any], eager: list[Any]) -> None:
    """Symbolic results have the dtypes of real ones and their shapes, up to unknown sizes."""
    assert len(symbolic) == len(eager)
    for spec, x in zip(symbolic, eager, strict=True):
        if isinstance(spec, KerasTensor):
            assert spec.ndim == len(x.shape)
            assert all(n in (None, m) for m, n in zip(x.shape, spec.shape, strict=True)), (
                spec.shape,
                x.shape,
            )
            assert kinds(engine, [spec.dtype]) == kinds(engine, [x.dtype])
        else:
            assert spec == x


# -- every row -----------------------------------------------------------------------------------------------


@rows()
def test_value(case: Case, engine: Any, request: pytest.FixtureRequest) -> None:
    result = call(function(case), case, case.args)
    assert not any(isinstance(x, np.generic) for x in leaves(result)), "a NumPy scalar instead of an array"
    got = arrays(engine, result)
    if case.expect:
        expected = [np.asarray(x) for x in leaves(case.expect(*case.args, **case.statics))]
    else:
        expected = _reference_value(request.getfixturevalue("reference"), case)
        assert kinds(engine, [x.dtype for x in got]) == kinds(engine, [x.dtype for x in expected])
    assert_same(got, expected, case.tol)


@cache
def _reference_value(reference: Any, case: Case) -> list[np.ndarray]:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = call(_their_function(reference, case), case, case.args)
    return [np.asarray(x) for x in leaves(result)]


def _their_function(reference: Any, case: Case) -> Callable[..., Any]:
    found = reference.ops
    for name in case.op.split("."):
        found = getattr(found, name)
    return found


@rows_on_compilers(lambda case: case.grad and any(is_data(x, "f") for x in tree.flatten(case.args)))
def test_gradient(case: Case, compiler: Any) -> None:
    """Directional derivatives by each float argument against central differences, in double precision."""
    floatx = config.floatx()
    config.set_floatx("float64")
    try:
        with _double_precision(compiler):
            _check_gradient(case, compiler)
    finally:
        config.set_floatx(floatx)


def _double_precision(engine: Any) -> Any:
    if engine.name != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)


def _check_gradient(case: Case, engine: Any) -> None:
    random = np.random.default_rng(0)
    variables: list[Variable] = []

    def variable(x: np.ndarray) -> Variable:
        variables.append(Variable(x.astype("float64")))
        return variables[-1]

    args = replace(case.args, variable, lambda x: is_data(x, "f"))
    names = ("add", "multiply", "real", "imag", "sum")
    add, multiply, real, imag, total = (registry.lookup(f"ops.{name}") for name in names)
    result = [x for x in leaves(call(function(case), case, args)) if hasattr(x, "dtype")]
    weights = {
        i: random.normal(size=tuple(x.shape))
        for i, x in enumerate(result)
        if standardize_dtype(x.dtype) in (*FLOATS, *COMPLEX)
    }
    if not weights or not all(np.isfinite(engine.to_numpy(result[i])).all() for i in weights):
        return  # nothing that has a derivative, or that differences could measure

    def loss() -> Any:
        outputs = [x for x in leaves(call(function(case), case, args)) if hasattr(x, "dtype")]
        found = 0.0
        for i, weight in weights.items():
            part = outputs[i]
            if standardize_dtype(part.dtype) in COMPLEX:
                part = add(real(part), multiply(2.0, imag(part)))
            found = add(found, total(multiply(part, weight)))
        return found

    measure = engine.value_and_grad(loss, variables)
    if engine.name == "jax":  # perturbed values are another state of the same program, which is compiled once
        measure = engine.compile(measure, variables)
    step = 1e-5
    _value, grads = measure()
    for each, grad in zip(variables, grads, strict=True):
        start, direction = each.numpy(), random.normal(size=each.shape)
        ends = []
        for sign in (1, -1):
            each.assign(start + sign * step * direction)
            ends.append(float(measure()[0]))
        each.assign(start)
        expected = (ends[0] - ends[1]) / (2 * step)
        slope = (engine.to_numpy(grad) * direction).sum()
        np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-4)


def _combinations(case: Case) -> list[tuple[str, ...]]:
    """Dtypes to try for the promoted tensors of a row."""
    made = mechanism(case)
    count = sum(_varies(made, name, x) for name, x in zip(made.tensors, case.args, strict=False))
    if count == 0:
        return []
    if any(is_data(x, "c") for x in tree.flatten(case.args)):
        return []  # NumPy warns of casts to real numbers
    if count == 1:
        found = [(d,) for d in DTYPES]
    else:
        found = [tuple(itertools.islice(itertools.cycle(p.split()), count)) for p in PAIRS.split(", ")]
    return found if case.dtypes == "any" else [c for c in found if all(map(is_float_dtype, c))]


def _varies(made: Op, name: str, x: Any) -> bool:
    return name in made.promoted and any(map(is_data, tree.flatten(x)))


def _in_dtypes(case: Case, combination: tuple[str, ...]) -> list[Any]:
    made, wanted, args = mechanism(case), iter(combination), []
    with np.errstate(all="ignore"):
        for name, x in zip(made.tensors, case.args, strict=False):
            if _varies(made, name, x):
                dtype = next(wanted)
                x = replace(x, lambda a, dtype=dtype: a.astype(np.dtype(dtype)))
            args.append(x)
    return args


@cache
def _reference_dtypes(reference: Any, case: Case, combination: tuple[str, ...]) -> list[str] | None:
    """The reference's result dtypes, found without computing; None where it refuses."""
    import jax

    args = _in_dtypes(case, combination)
    tensors = [x for x in tree.flatten(args) if is_data(x)]

    def run(*traced: Any) -> Any:
        given = iter(traced)
        return call(_their_function(reference, case), case, replace(args, lambda _: next(given)))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [standardize_dtype(x.dtype) for x in leaves(jax.eval_shape(run, *tensors))]
    except Exception:
        return None


@rows(lambda case: bool(case.dtypes) and "." not in case.op)
def test_dtypes(case: Case, engine: Any, reference: Any) -> None:
    if mechanism(case) is None:
        pytest.skip("a plain function")
    wrong = []
    for combination in _combinations(case):
        expected = _reference_dtypes(reference, case, combination)
        if expected is None:
            continue
        args = _in_dtypes(case, combination)
        if engine.name == "jax":
            tensors = [x for x in tree.flatten(args) if is_data(x)]

            def run(*traced: Any, args: Any = args) -> Any:
                given = iter(traced)
                return call(function(case), case, replace(args, lambda _: next(given)))

            result = engine.abstract(run, [KerasTensor(x.shape, x.dtype) for x in tensors])
        else:
            result = call(function(case), case, args)
        got = [x.dtype for x in leaves(result)]
        if kinds(engine, got) != kinds(engine, expected):
            wrong.append(f"{combination}: {got}, expected {expected}")
    assert not wrong, "\n".join(wrong)


def _narrowed(x: np.ndarray) -> np.ndarray:
    """Rows may be written with NumPy's 64-bit defaults; tensors are 32-bit."""
    return x.astype({"float64": "float32", "int64": "int32"}.get(x.dtype.name, x.dtype))


def _tensor_args(case: Case) -> Any:
    return replace(list(case.args), _narrowed)


@rows(lambda case: any(map(is_data, tree.flatten(case.args))))
def test_symbolic_static(case: Case, engine: Any) -> None:
    args = _tensor_args(case)
    symbolic = leaves(call(function(case), case, replace(args, lambda x: KerasTensor(x.shape, x.dtype))))
    assert_fits(engine, symbolic, leaves(call(function(case), case, args)))


@rows(lambda case: case.unknown and any(is_data(x) and x.ndim for x in tree.flatten(case.args)))
def test_symbolic_unknown(case: Case, engine: Any) -> None:
    """The first size of the first argument unknown; where others must match it, theirs too."""
    args = _tensor_args(case)
    tensors = [x for x in tree.flatten(args) if is_data(x) and x.ndim]

    def unknown(all_alike: bool) -> Any:
        def spec(x: np.ndarray) -> KerasTensor:
            matches = x is tensors[0] or (all_alike and x.shape[:1] == tensors[0].shape[:1])
            return KerasTensor((None, *x.shape[1:]) if matches else x.shape, x.dtype)

        return leaves(call(function(case), case, replace(args, spec)))

    try:
        symbolic = unknown(False)
    except Exception:
        symbolic = unknown(True)
    assert_fits(engine, symbolic, leaves(call(function(case), case, args)))


@rows_on_compilers(lambda case: any(map(is_data, tree.flatten(case.args))))
@pytest.mark.filterwarnings("ignore:A step can't be compiled")  # where sizes depend on values
def test_compiled(case: Case, compiler: Any) -> None:
    args = replace(list(case.args), compiler.make)
    tensors = [x for x in tree.flatten(args) if selection.engine_of(type(x))]
    statics: list[Any] = []

    def step(*traced: Any) -> list[Any]:
        given = iter(traced)
        result = call(
            function(case), case, replace(args, lambda _: next(given), lambda x: selection.engine_of(type(x)))
        )
        statics[:] = [x for x in leaves(result) if not hasattr(x, "dtype")]
        return [x for x in leaves(result) if hasattr(x, "dtype")]

    eager = leaves(call(function(case), case, args))
    compiled = compiler.compile(step, [])(*tensors)
    assert [x for x in eager if not hasattr(x, "dtype")] == statics
    assert_same(
        arrays(compiler, compiled), arrays(compiler, [x for x in eager if hasattr(x, "dtype")]), case.tol
    )


def _has_choice(case: Case) -> bool:
    made = mechanism(case)
    return (
        made is not None
        and not made.primitive
        and any(made.name in selection.get(e).natives for e in ENGINES)
    )


@rows(_has_choice)
def test_generic_is_native(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generic body gives what an engine's own version gives."""
    made = mechanism(case)
    for engine in map(selection.get, ENGINES):
        if made.name in engine.natives:
            with selection.running(engine):
                native = arrays(engine, call(function(case), case, case.args))
                with monkeypatch.context() as patch:
                    patch.delitem(engine.natives, made.name)
                    made.forget()
                    generic = arrays(engine, call(function(case), case, case.args))
                made.forget()
            assert_same(generic, native, max(case.tol, 1e-5))


# -- the set of ops ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [path.stem for path in TABLES])
def test_tables_import(table: str) -> None:
    if table in BROKEN:
        raise BROKEN[table]


def test_every_op_has_a_row() -> None:
    """Every public one; the others are parts of these."""
    covered = {made.name for made in map(mechanism, CASES) if made is not None}
    ours = {made.name for made in OPS.values() if made.body.__module__.startswith("triceras.ops.")}
    public = {name for name in ours if any(registry.lookup(f"{space}.{name}") for space in SPACES)}
    assert sorted(public - covered) == []


@pytest.mark.parametrize("name", ENGINES)
def test_engines_have_all_primitives(name: str) -> None:
    registry.load("random")  # defines ops too
    importlib.import_module("triceras.layers")
    natives = selection.get(name).natives
    assert [made.name for made in OPS.values() if made.primitive and made.name not in natives] == []
    assert sorted(set(natives) - set(OPS)) == [], "natives of no op"


def test_signatures_are_the_reference_ones() -> None:
    """Every exported name in `ops.*` has the parameters of the reference, in order and with its defaults."""
    if not API.exists():
        pytest.skip("no table of the reference's signatures")
    wrong = []
    for path, entry in json.loads(API.read_text(encoding="utf-8")).items():
        text = entry.get("signature")
        found = registry.lookup(path) if path.startswith("ops.") else None
        if found is None or text is None:
            continue
        theirs = _parameters(ast.parse(f"def f{text}: ...").body[0].args)
        ours = [
            (
                p.name,
                p.default if p.default is p.empty or isinstance(p.default, _LITERALS) else repr(p.default),
            )
            for p in inspect.signature(found).parameters.values()
        ]
        # we may add arguments with a default, and needn't take unused **kwargs
        theirs = [each for each in theirs if each[0] != "kwargs" or "kwargs" in dict(ours)]
        extra = ours[len([n for n, _ in theirs]) :]
        if ours[: len(theirs)] != theirs or any(
            default is inspect.Parameter.empty for _name, default in extra
        ):
            wrong.append(f"{path}{text}: ours is {inspect.signature(found)}")
    assert not wrong, "\n".join(wrong)


_LITERALS = (type(None), bool, int, float, str, tuple)


def _parameters(arguments: ast.arguments) -> list[tuple[str, Any]]:
    empty = inspect.Parameter.empty
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [empty] * (len(positional) - len(arguments.defaults)) + [
        _literal(d) for d in arguments.defaults
    ]
    found = [(a.arg, d) for a, d in zip(positional, defaults, strict=True)]
    if arguments.vararg:
        found.append((arguments.vararg.arg, empty))
    for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((a.arg, empty if d is None else _literal(d)))
    if arguments.kwarg:
        found.append((arguments.kwarg.arg, empty))
    return found


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
