"""The examples in docstrings run and show what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import triceras

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(triceras.__path__, "triceras.") if not m.name.endswith("__main__")
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    triceras.utils.clear_session(free_memory=False)  # automatic names start anew
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
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
