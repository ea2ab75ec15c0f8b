"""What Ray Tune runs: one configuration, its seeds in turn, each as a Ray Train run of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import train, tune
from ray.tune.integration.ray_train import TuneReportCallback

from optical_ray.study.files import read_json
from optical_ray.study.records import TrialRecord
from optical_ray.training.driver import Workers, fit
from optical_ray.training.loop import DistillationJob, distil


def run_configuration(config: dict[str, Any], train_folder: Path, workers: Workers) -> None:
    """Distil one student for every job of ``config["jobs"]``; what happens is reported, never raised.

    Reports: ``{"key", "started": True}`` before a seed, then the worker's own (``rows``, ``complete``, ``failed``),
    and ``{"key", "crashed": reason}`` where Ray Train gives a seed up.
    """
    jobs: list[DistillationJob] = config["jobs"]
    for job in jobs:
        if _has_ended(job.folder):
            continue  # this driver was started again
        tune.report({"key": job.key, "started": True, "step": 0, "objective": 0.0})
        try:
            fit(distil, job, name=job.key, folder=train_folder, workers=workers, callbacks=[TuneReportCallback()])
        except train.TrainingFailedError as error:
            tune.report({"key": job.key, "crashed": _reason(error), "step": 0, "objective": 0.0})


def _has_ended(folder: Path) -> bool:
    """Whether the seed is finished, and not by a crash that may be tried again."""
    record = TrialRecord.from_json(read_json(folder / "trial.json"))
    return record.state.is_finished and not record.retryable


def _reason(error: BaseException) -> str:
    """The last line of the innermost cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
