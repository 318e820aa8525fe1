"""All rows: those of every table `cases*.py` beside this file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.layers.cases import Case

TABLES = sorted(path.stem for path in Path(__file__).parent.glob("cases*.py"))
CASES: list[Case] = [case for table in TABLES for case in import_module(f"tests.layers.{table}").CASES]
