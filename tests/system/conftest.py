"""Small studies on the session's Ray cluster, and what their trials must come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import from_dict, trial_from_dict
from optical_ray.evaluate import read_per_query
from optical_ray.study.files import read_json
from optical_ray.study.records import Ledger, TrialRecord
from optical_ray.sweep.study import run_study
from optical_ray.training.context import LocalContext, Rows
from optical_ray.training.loop import distil
from tests import tiny_study

Run = Callable[[Experiment, Path], Ledger]


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of the tiny study."""
    return tiny_study.write_data(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_data: Path) -> Callable[..., dict[str, Any]]:
    """The raw spec of a study with two trials at once; blocks replaced by name."""

    def raw(**blocks: Any) -> dict[str, Any]:
        blocks.setdefault("compute", {"max_concurrent_trials": 2, "checkpoint_every": 2})
        return tiny_study.spec(tiny_data, **blocks)

    return raw


@pytest.fixture(scope="session")
def run(ray_cluster: None) -> Run:
    """Run a study on the session's cluster to its end."""
    import ray

    def launched(experiment: Experiment, storage: Path) -> Ledger:
        address = ray.get_runtime_context().gcs_address
        return run_study(experiment, storage, address=address).ledger

    return launched


@pytest.fixture
def alone(tmp_path: Path) -> Callable[[Ledger, TrialRecord], tuple[Rows, Path]]:
    """The rows and the folder of a trial that was run again in this process, without Ray."""

    def again(ledger: Ledger, record: TrialRecord) -> tuple[Rows, Path]:
        experiment = from_dict(ledger.info.experiment)
        prepared = tiny_study.prepare(experiment, ledger.folder.parent)
        folder = tmp_path / "alone" / record.key
        job = tiny_study.job(experiment, prepared, trial_from_dict(record.config), record.seed, folder)
        assert job.key == record.key
        context = LocalContext(tmp_path / "run" / record.key, torch.device("cpu"))
        distil(context, job)
        return [row for report in context.reports for row in report["rows"]], folder

    return again


@pytest.fixture
def assert_undisturbed(
    alone: Callable[[Ledger, TrialRecord], tuple[Rows, Path]],
) -> Callable[[Ledger, TrialRecord], None]:
    """The trial's losses and scores are those of the same trial in one process without Ray or any accident."""

    def check(ledger: Ledger, record: TrialRecord) -> None:
        expected, folder = alone(ledger, record)
        rows = ledger.rows(record.key)
        assert [row["step"] for row in rows] == [row["step"] for row in expected]
        assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in expected], abs=1e-6)
        trial = ledger.trial_folder(record.key)
        assert read_json(trial / "scores.json") == read_json(folder / "scores.json")
        assert read_per_query(trial) == read_per_query(folder)

    return check
