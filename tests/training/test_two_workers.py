"""One worker and two compute the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from optical_ray.prepare.text import Preparation
from tests.training.two_workers import LOSSES, STEPS, results

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def alone(prepared: Preparation) -> dict[str, Any]:
    """What one process finds."""
    return results(0, 1, prepared.inputs.models.initial_student, list(prepared.inputs.scoring.collections))


@pytest.fixture(scope="module")
def together(prepared: Preparation, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes finds."""
    folder = tmp_path_factory.mktemp("two")
    paths = [
        str(path) for path in (folder, prepared.inputs.models.initial_student, *prepared.inputs.scoring.collections)
    ]
    command = [sys.executable, "-m", "tests.training.two_workers"]
    processes = [subprocess.Popen([*command, str(rank), "2", *paths], cwd=ROOT) for rank in (0, 1)]
    try:
        assert [process.wait(timeout=600) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("kind", [*(loss.kind for loss in LOSSES), "relevance"])
def test_every_step_has_the_same_loss(alone: dict[str, Any], together: list[dict[str, Any]], kind: str) -> None:
    assert together[0][kind] == together[1][kind]
    assert len(alone[kind]) == STEPS
    assert alone[kind][0]["loss"] != alone[kind][-1]["loss"]
    for one, two in zip(alone[kind], together[0][kind], strict=True):
        assert two["loss"] == pytest.approx(one["loss"], abs=1e-4)
        assert two["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-3)


def test_the_workers_share_out_the_targets_and_all_know_all_scores(
    alone: dict[str, Any], together: list[dict[str, Any]]
) -> None:
    assert together[0]["scores"] == together[1]["scores"]
    assert set(together[0]["scores"]["test"]["AP"]) == {"so", "sw"}
    for split, by_metric in alone["scores"].items():
        assert together[0]["scores"][split]["AP"] == by_metric["AP"]


def test_what_one_worker_cannot_score_all_refuse(together: list[dict[str, Any]]) -> None:
    """The other would wait for ever for its part."""
    assert together[0]["broken"] == together[1]["broken"]
    assert "NaN or infinite" in together[0]["broken"]
