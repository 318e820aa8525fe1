"""Every block of the guide runs and prints what the page says; its figures are there.

TRICERAS_WRITE_FIGURES=1 puts the figures that the pages draw beside them.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import triceras

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted((DOCS / "guide").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("jax", "sklearn", "matplotlib"):
        pytest.importorskip(name)
    import matplotlib

    matplotlib.use("agg")
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    variables: dict[str, object] = {"__name__": "guide"}
    with triceras.use_engine("jax"):
        triceras.utils.clear_session(free_memory=False)
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start())
            code = compile("\n" * (line + 1) + block[1], str(page), "exec")
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(code, variables)
            if block[2] is not None:
                found = printed.getvalue()
                assert doctest.OutputChecker().check_output(block[2], found, FLAGS), f"{page}:{line}\n{found}"
    matplotlib.pyplot.close("all")
    for image in re.findall(r"!\[[^]]+\]\((images/[^)]+)\)", text):
        assert (tmp_path / image).exists(), f"{image} isn't drawn by the page"
        if os.environ.get("TRICERAS_WRITE_FIGURES"):
            shutil.copy(tmp_path / image, page.parent / image)
        assert (page.parent / image).exists(), f"{image} is missing beside the page"


@pytest.mark.parametrize("page", [DOCS / "index.md", *PAGES], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_site_builds(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=DOCS.parent, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "images/convolution.png" in (tmp_path / "guide" / "convolution" / "index.html").read_text("utf-8")
