"""The README's blocks work: its YAML is a valid study, and its Python runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from optical_ray import api
from optical_ray.config.experiment import Experiment
from optical_ray.config.load import check_corners, from_dict
from optical_ray.study.records import Ledger
from optical_ray.sweep.study import StudyResult
from tests.report.planted import Planted, write_study

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 110
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "experiments/README.md", "experiments/results/README.md")


def blocks(language: str, document: str = "README.md") -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_it_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    path = ROOT / document
    targets = LINK.findall(path.read_text(encoding="utf-8"))
    files = [target for target in targets if "://" not in target]
    assert not [target for target in files if not (path.parent / target).exists()]


def test_the_study_is_valid() -> None:
    [block] = blocks("yaml")
    experiment = from_dict(yaml.safe_load(block))
    assert experiment.trial.loss.kind == "optimal_transport"
    assert set(experiment.space) == {"data.source_languages", "loss.solver.epsilon"}


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the distillation itself is replaced, by a study that is written at once."""

    def run(experiment: Experiment, storage: Path, **options: Any) -> StudyResult:
        folder = tmp_path / storage / experiment.name
        write_study(folder, Planted({"de": {"sw": 0.0}, "hi": {"sw": 0.05}}, num_topics=20))
        return StudyResult(Ledger.open(folder))

    monkeypatch.setattr(api, "run_experiment", run)
    monkeypatch.chdir(ROOT)
    [block] = blocks("python")
    exec(compile(block, "README.md", "exec"), {})
    assert "('sw',)" in capsys.readouterr().out


def test_the_search_dimensions_of_contributing_are_valid() -> None:
    [block] = blocks("yaml", "CONTRIBUTING.md")
    space = yaml.safe_load(block)["space"]
    raw = yaml.safe_load((ROOT / "experiments" / "quickstart.yaml").read_text(encoding="utf-8"))
    raw["space"], raw["search"] = space, {"mode": "optimise", "num_trials": 2, "objective": "AP"}
    experiment = from_dict(raw)
    check_corners(experiment)
    assert set(experiment.space) == set(space)
