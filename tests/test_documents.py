"""The README's programs and the examples run as they stand; the README's links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import triceras
from triceras.apps.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OF_RECIPES = {name.replace("-", "_") for name in RECIPES}  # they have a test of their own
EXAMPLES = [p for p in sorted((ROOT / "examples").glob("*.py")) if p.stem not in OF_RECIPES]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """JAX, in an empty folder."""
    pytest.importorskip("jax")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    with triceras.use_engine("jax"):
        triceras.utils.set_random_seed(0)
        yield


def test_readme(elsewhere: None, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks[0].strip().splitlines()) <= 22
    variables: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), variables)
    assert variables["accuracy"] > 0.85  # type: ignore[operator]
    assert re.search(r"Test accuracy: \d+\.\d%\n\[[\d ]{9}\]\ntorch\n$", capsys.readouterr().out)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(elsewhere: None, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(path.read_text(encoding="utf-8"), path.name, "exec"), {"__name__": "__main__"})
    assert len(capsys.readouterr().out.splitlines()) >= 2


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/api-coverage.md"])
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), target
