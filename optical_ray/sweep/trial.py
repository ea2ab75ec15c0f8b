"""What Ray Tune runs: one configuration, its seeds in turn, each as a Ray Train run of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import train, tune
from ray.tune.integration.ray_train import TuneReportCallback

from optical_ray.study.events import Crashed, Started, to_report
from optical_ray.study.files import read_json
from optical_ray.study.layout import ResultFolder
from optical_ray.study.records import TrialRecord
from optical_ray.training.driver import Workers, fit
from optical_ray.training.loop import DistillationJob, distil


def run_configuration(config: dict[str, Any], train_folder: Path, workers: Workers) -> None:
    """Distil one student for every job of ``config["jobs"]``.

    Reports ``Started`` before each, then the events of its workers, and ``Crashed`` if Ray Train gives up.
    """
    jobs: list[DistillationJob] = config["jobs"]
    for job in jobs:
        if _has_ended(job.folder):
            continue  # this driver was restarted
        tune.report(to_report(Started(job.key)))
        try:
            fit(distil, job, name=job.key, folder=train_folder, workers=workers, callbacks=[TuneReportCallback()])
        except train.TrainingFailedError as error:
            tune.report(to_report(Crashed(job.key, _reason(error))))


def _has_ended(folder: Path) -> bool:
    """Whether the trial is finished, other than by a crash that may be retried."""
    record = TrialRecord.from_json(read_json(ResultFolder(folder).trial))
    return record.state.is_finished and not record.retryable


def _reason(error: BaseException) -> str:
    """The last line of the innermost cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
