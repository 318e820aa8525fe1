"""Shape inference: evaluate abstractly in the engine. Unknown sizes are probed with two different ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from triceras.core import tree
from triceras.core.spec import KerasTensor, recording
from triceras.engine import selection
from triceras.engine.contract import StateScope, state


@contextmanager
def aside() -> Iterator[None]:
    """Where nothing is recorded, and what is assigned is forgotten."""
    with recording(False), state(StateScope((), (), state.get())):
        yield


def infer(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], also: tuple[int, ...] = ()
) -> Any:
    """What `fn` returns for arguments that hold symbolic tensors, as symbolic tensors.

    A size that differs between two probes is unknown in the result. Further sizes to probe stand in `also`.
    """
    engine = selection.current()
    leaves = tree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, KerasTensor)]
    specs = [leaves[i] for i in places]

    def run(*tensors: Any) -> Any:
        filled = list(leaves)
        for i, tensor in zip(places, tensors, strict=True):
            filled[i] = tensor
        a, k = tree.pack_sequence_as((args, kwargs), filled)
        with selection.running(engine), aside():
            return fn(*a, **k)

    def probe(sizes: int | tuple[int, int]) -> Any:
        first, other = sizes if isinstance(sizes, tuple) else (sizes, sizes)
        filled = [[(other if i else first) if d is None else d for i, d in enumerate(s.shape)] for s in specs]
        return engine.abstract(run, [KerasTensor(f, s.dtype) for f, s in zip(filled, specs, strict=True)])

    if all(None not in s.shape for s in specs):
        return probe(0)
    # where no two sizes do, perhaps the unknown one must equal a known one
    known = sorted({size for s in specs for size in s.shape if size is not None} | {1}, reverse=True)
    problem: Exception | None = None
    for small, large in (*engine.probes, *zip(known, known, strict=True)):
        try:
            found = probe(small)
            for size in (large, *also):
                found = tree.map_structure(_merge, found, probe(size))
            return found
        except Exception as error:
            problem = problem or error
    raise problem


def _merge(a: Any, b: Any) -> Any:
    if not isinstance(a, KerasTensor):
        return a
    return KerasTensor([m if m == n else None for m, n in zip(a.shape, b.shape, strict=True)], a.dtype)
