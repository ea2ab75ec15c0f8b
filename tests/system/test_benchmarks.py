"""Every benchmark runs, at a small size; how fast is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks"

SMALL = {
    "sinkhorn": ["--only", "cpu 64 x 32 x 32", "--repeats", "1", "--epsilon", "0.1"],
    "step": ["--pairs", "4", "--steps", "1", "--warmup", "1", "--longest", "16"],
    "shards": ["--pairs", "20000", "--steps", "10"],
    "maxsim": ["--queries", "8", "--passages", "2000"],
    "truth_recovery": ["--studies", "2"],
}


def measured(name: str, target: Path) -> Any:
    """The figures of one benchmark."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *SMALL[name], "--json", str(target)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(target.read_text())


def test_every_benchmark_is_run_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SMALL)


@pytest.mark.slow
def test_solvers_are_compared_on_equal_plans(tmp_path: Path) -> None:
    rows = measured("sinkhorn", tmp_path / "rows.json")
    assert [row["solver"] for row in rows][:2] == ["optical_ray", "POT ot.batch"]
    assert rows[0]["difference"] < 1e-6
    assert rows[0]["ratio"] == 1


@pytest.mark.slow
def test_a_step_is_taken_apart(tmp_path: Path) -> None:
    (row,) = measured("step", tmp_path / "rows.json")
    assert 0 < row["transport_share"] < 1
    assert row["pairs_per_second"] > 0


@pytest.mark.slow
def test_shards_are_written_and_read(tmp_path: Path) -> None:
    found = measured("shards", tmp_path / "found.json")
    assert 19_000 < found["pairs"] <= 20_000  # some are the same in both languages: filtered
    assert found["all of it, pairs/s"] > 0


@pytest.mark.slow
def test_parts_on_disk_rank_as_memory_does(tmp_path: Path) -> None:
    found = measured("maxsim", tmp_path / "found.json")
    assert found["equal to in memory"] is True


@pytest.mark.slow
def test_planted_studies_are_counted(tmp_path: Path) -> None:
    found = measured("truth_recovery", tmp_path / "found.json")
    assert {result["studies"] for kind in ("coverage", "false_positives") for result in found[kind].values()} == {2}
    assert set(found["coverage"]) >= {f"{n} seeds, seed sd {sd}" for n in (3, 5) for sd in (0.005, 0.01, 0.02)}
    assert any("53 groups" in setting for setting in found["false_positives"])
