"""The examples in docstrings run and show what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest

import triceras
from tests.extent import EVERYTHING

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(triceras.__path__, "triceras.") if not m.name.endswith("__main__")
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Checker(doctest.OutputChecker):
    """Takes the shapes of PyTorch's tensors for the tuples that they are."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(_tuples(want), _tuples(got), optionflags)


def _tuples(text: str) -> str:
    text = re.sub(r"torch\.Size\(\[(\d+)\]\)", r"(\1,)", text)
    return re.sub(r"torch\.Size\(\[(.*?)\]\)", r"(\1)", text)


@pytest.fixture(autouse=True)
def quick_engine():
    """Compiling hundreds of tiny programs, as JAX does, would take most of the time."""
    with triceras.use_engine("jax" if EVERYTHING else "torch"):
        yield


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    triceras.utils.clear_session(free_memory=False)  # automatic names start anew
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(checker=Checker(), optionflags=FLAGS, verbose=False)
    report: list[str] = []
    for value in list(vars(module).values()):
        target = inspect.unwrap(value) if callable(value) else value
        if getattr(target, "__module__", None) != name:
            continue
        owner = module if inspect.isclass(target) else False  # a class may hold functions of other modules
        for example in finder.find(target, getattr(target, "__name__", name), module=owner, globs={}):
            example.globs = {**vars(module), "np": np, "triceras": triceras}
            runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)
