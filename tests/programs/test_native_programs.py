"""Programs in the style of each engine's library, with our models inside."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path
from typing import Any

import pytest

import triceras
from triceras.engine import selection

FOLDER = Path(__file__).parent


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def start(engine: str) -> dict[str, Any]:
        if not selection.installed(engine):
            pytest.skip(f"{engine} isn't installed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            selection.get(engine)
        monkeypatch.chdir(tmp_path)
        triceras.utils.clear_session(free_memory=False)
        triceras.utils.set_random_seed(1)
        with triceras.use_engine(engine):
            return runpy.run_path(str(FOLDER / f"native_{engine}.py"))

    return start


def check(found: dict[str, Any]) -> None:
    """What the three programs have in common."""
    assert set(found["history"]) == {"loss", "accuracy"} == set(found["weighted"])
    assert found["history"]["loss"][-1] < 0.6 * found["history"]["loss"][0]
    assert found["score"][1] > 0.85 and found["scratch_accuracy"] > 0.85
    assert found["hybrid_history"]["loss"][-1] < found["hybrid_history"]["loss"][0]


def test_torch(run: Any) -> None:
    found = run("torch")
    check(found)
    assert set(found["gan_history"]) == {"d_loss", "g_loss"}
    assert found["net_accuracy"] > 0.85 and found["twin_difference"] == 0
    assert all((a != b).any() for a, b in zip(found["net_before"], found["net"].parameters(), strict=True))
    for model in (found["model"], found["gan"], found["hybrid"]):
        assert not [e for e in model.report().events if e.kind == "eager"], model.report()
    assert found["inner"][1].num_batches_tracked == 40


def test_tensorflow(run: Any) -> None:
    found = run("tensorflow")
    check(found)
    assert set(found["gan_history"]) == {"d_loss", "g_loss"}
    assert (
        found["predictions"].shape == (256, 2) and found["train_step"].experimental_get_tracing_count() <= 2
    )
    assert found["net_accuracy"] > 0.8 and len(found["net"].trainable_variables) == 7
    assert found["reloaded_difference"] == found["restored_difference"] == 0


def test_jax(run: Any) -> None:
    found = run("jax")
    check(found)
    assert found["attached_difference"] < 1e-5
    assert [g.shape for g in found["gradients_of_each"]] == [(8, *w.shape) for w in found["weights"]]
    assert found["saliency"].shape == (8, 16) and found["norm"] > 0
