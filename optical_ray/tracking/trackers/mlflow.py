"""MLflow as a choice of a spec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from optical_ray.tracking.interface import Tracker, TrackerConfig


@dataclass(frozen=True)
class MlflowConfig(TrackerConfig):
    """Parameters, metrics and result files in MLflow, one run for each trial.

    ``uri`` is a tracking server or a database (None: a SQLite file in the storage), ``experiment`` the name of the
    MLflow experiment (None: the name of the study).
    """

    kind: Literal["mlflow"] = "mlflow"
    uri: str | None = None
    experiment: str | None = None

    def open(self, study_folder: Path) -> Tracker:
        from optical_ray.tracking.mlflow.tracker import MlflowTracker

        return MlflowTracker(study_folder, self.uri, self.experiment)
