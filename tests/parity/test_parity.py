"""Engines agree: every row of every table, values and gradients. `docs/parity.md` publishes the differences.

TRICERAS_WRITE_PARITY=1 python -m pytest tests/parity -n 0     # writes the page
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.parity.measure import FAMILIES, FIRST, OTHERS, WRITING, difference, on

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"
SHOWN = 1e-6  # rows with larger differences have a line of their own

# rows in which engines differ on purpose or by their libraries' algorithms: pattern -> why
APART: dict[str, str] = {
    r"^ops\.segment_prod": "JAX has no gradient of scatter-multiply",
}


def apart(name: str) -> str | None:
    return next((why for pattern, why in APART.items() if re.search(pattern, name)), None)


@pytest.mark.skipif(not OTHERS, reason="compares PyTorch and TensorFlow")
@pytest.mark.parametrize("family", FAMILIES)
def test_engines_agree(family: str) -> None:
    made, forward_limit, gradient_limit = FAMILIES[family]
    found: list[tuple[str, str, float, float]] = []
    broken: list[str] = []
    for row in made():
        if apart(row.name):
            continue
        expected = on(FIRST, row)
        for engine in OTHERS:
            try:
                values, grads = on(engine, row)
            except Exception as error:
                broken.append(f"{row.name} on {engine}: {type(error).__name__}: {str(error)[:300]}")
                continue
            found.append((row.name, engine, difference(values, expected[0]), difference(grads, expected[1])))
    broken += [
        f"{name} on {engine}: values differ by {forward:.1e}, gradients by {gradient:.1e}"
        for name, engine, forward, gradient in found
        if forward > forward_limit or gradient > gradient_limit
    ]
    assert not broken, f"{len(broken)} rows:\n" + "\n".join(broken)
    section = _section(family, found, OTHERS, forward_limit, gradient_limit)
    if WRITING:
        PAGE.write_text(_replaced(PAGE.read_text() if PAGE.exists() else _HEAD, family, section))


def test_the_page_is_complete() -> None:
    page = PAGE.read_text()
    for family, (made, *_) in FAMILIES.items():
        count = sum(not apart(row.name) for row in made())
        assert f"## {family} ({count} rows)" in page, f"docs/parity.md is old. {__doc__}"


_HEAD = f"""# Equal numbers

Written by the tests (`TRICERAS_WRITE_PARITY=1 python -m pytest tests/parity -n 0`); don't edit.

Every row of the test tables runs on each engine; values, and gradients of a fixed weighted sum of them, are compared
with JAX's. A difference is the largest one of any number, in parts of the row's largest value where that is above 1.
Single precision; the tests fail above the limits. Rows whose values or gradients differ by more than {SHOWN} are
listed.
"""


def _section(family: str, found: list, others: list[str], forward_limit: float, gradient_limit: float) -> str:
    lines = [
        f"## {family} ({sum(e == others[0] for _, e, *_ in found)} rows)",
        "",
        f"Limits: values {forward_limit:g}, gradients {gradient_limit:g}.",
        "",
        "| engine | equal to the bit | within 1e-6 | largest difference of values | of gradients |",
        "|---|---|---|---|---|",
    ]
    for engine in others:
        mine = [(f, g) for _, e, f, g in found if e == engine]
        exact = sum(f == g == 0 for f, g in mine)
        near = sum(max(f, g) <= SHOWN for f, g in mine)
        worst = [max((pair[i] for pair in mine), default=0.0) for i in (0, 1)]
        lines.append(f"| {engine} | {exact} | {near} | {worst[0]:.1e} | {worst[1]:.1e} |")
    listed = sorted({name for name, _, f, g in found if max(f, g) > SHOWN})
    if listed:
        lines += [
            "",
            f"| row | {' | '.join(f'{e}: values, gradients' for e in others)} |",
            "|---|" + "---|" * len(others),
        ]
        by_row = {(name, engine): (f, g) for name, engine, f, g in found}
        for name in listed:
            cells = [by_row.get((name, e), (np.nan, np.nan)) for e in others]
            shown = name.replace("|", "\\|")
            lines.append(f"| `{shown}` | {' | '.join(f'{f:.0e}, {g:.0e}' for f, g in cells)} |")
    return "\n".join(lines) + "\n"


def _replaced(page: str, family: str, section: str) -> str:
    parts = re.split(r"(?m)^(?=## )", page)
    kept = {re.match(r"## (\w+)", p)[1]: p.rstrip() + "\n" for p in parts[1:]} | {family: section}
    return "\n".join([parts[0].rstrip() + "\n", *(kept[f] for f in FAMILIES if f in kept)])
