"""What a trial's driver does with its seeds, its worker groups stood in for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray import train

from optical_ray.study.events import Crashed, Started, from_report
from optical_ray.study.records import Ledger, TrialState
from optical_ray.sweep import trial as module
from optical_ray.sweep.open_study import OpenStudy
from optical_ray.sweep.trial import run_configuration
from optical_ray.training.driver import Workers
from optical_ray.training.loop import DistillationJob

PARAMS = {"data.source_languages": "de", "loss.solver.epsilon": 0.1}


class Driver:
    """Runs a configuration of three seeds; remembers what was fitted and reported."""

    def __init__(self, jobs: list[DistillationJob], monkeypatch: pytest.MonkeyPatch):
        self.jobs, self.fitted, self.reports = jobs, list[int](), list[dict[str, Any]]()
        self.crashing: set[int] = set()
        monkeypatch.setattr(module, "fit", self._fit)
        monkeypatch.setattr(module, "TuneReportCallback", object)  # there is no Tune here
        monkeypatch.setattr(module.tune, "report", self.reports.append)

    def _fit(self, loop: Any, job: DistillationJob, **others: Any) -> dict[str, Any]:
        self.fitted.append(job.seed)
        if job.seed in self.crashing:
            raise train.TrainingFailedError("a worker died\n  out of memory\n")
        return {}

    def run(self) -> None:
        run_configuration({"jobs": self.jobs}, train_folder=Path("nowhere"), workers=Workers())


@pytest.fixture
def driver(opened: Callable[..., OpenStudy], monkeypatch: pytest.MonkeyPatch) -> Driver:
    study = opened(search={"num_trials": 1, "seeds": 3})
    configuration = study.configuration(PARAMS)
    return Driver([study.job(configuration, seed) for seed in configuration.keys], monkeypatch)


def test_seeds_run_one_after_the_other(driver: Driver) -> None:
    driver.run()
    assert driver.fitted == [7, 8, 9]
    assert [event.key for event in map(from_report, driver.reports) if isinstance(event, Started)] == [
        job.key for job in driver.jobs
    ]


def test_a_seed_that_crashes_is_said_and_the_next_one_runs(driver: Driver) -> None:
    driver.crashing = {8}
    driver.run()
    assert driver.fitted == [7, 8, 9]
    [crash] = [event for event in map(from_report, driver.reports) if isinstance(event, Crashed)]
    assert crash.key == driver.jobs[1].key
    assert "out of memory" in crash.reason


@pytest.mark.parametrize(
    ("state", "retryable", "runs"),
    [
        (TrialState.COMPLETE, False, False),
        (TrialState.PRUNED, False, False),
        (TrialState.FAIL, False, False),
        (TrialState.FAIL, True, True),
    ],
)
def test_a_driver_that_is_started_again_leaves_alone_what_has_ended(
    driver: Driver, ledger: Ledger, state: TrialState, retryable: bool, runs: bool
) -> None:
    first = driver.jobs[0].folder.name
    ledger.start(first, resumed_from=0)
    ledger.finish(first, state, retryable=retryable)
    driver.run()
    assert driver.fitted == ([7, 8, 9] if runs else [8, 9])


def test_every_report_holds_what_tune_asks_for(driver: Driver) -> None:
    driver.crashing = {7}
    driver.run()
    assert driver.reports
    assert all({"key", "step", "objective"} <= report.keys() for report in driver.reports)
