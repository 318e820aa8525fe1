"""What is here takes everything that the reference's takes, and docs/api-coverage.md tells the truth."""

from __future__ import annotations

import fnmatch
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "make_api_coverage.py"
SPEC = importlib.util.spec_from_file_location("make_api_coverage", SCRIPT)
assert SPEC is not None and SPEC.loader is not None
coverage = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(coverage)


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    if not coverage.TABLE.exists():
        pytest.skip("the table of the reference's names isn't there")
    return json.loads(coverage.TABLE.read_text(encoding="utf-8"))


def test_every_parameter_is_taken(table: dict[str, Any]) -> None:
    lacking = coverage.lacking(table)
    assert not [f"{name}: {what}" for name, what in lacking if not coverage.reason(name, what)]


def test_every_exception_is_needed(table: dict[str, Any]) -> None:
    lacking = list(coverage.lacking(table))
    for pattern, (whats, _) in coverage.LACKING.items():
        for what in whats:
            holds = any(fnmatch.fnmatchcase(name, pattern) and what == w for name, w in lacking)
            assert holds, (pattern, what)


def test_page_is_current(table: dict[str, Any]) -> None:
    text = coverage.PAGE.read_text(encoding="utf-8")
    assert text == coverage.page(table), "run: python docs/make_api_coverage.py"
