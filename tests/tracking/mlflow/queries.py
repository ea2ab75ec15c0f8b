"""What an MLflow store contains of a study."""

from __future__ import annotations

from typing import Any

from optical_ray.study.info import StudyInfo
from optical_ray.tracking.mlflow.store import connect, find_runs
from optical_ray.tracking.mlflow.tracker import MlflowTracker


def runs_of(tracker: MlflowTracker) -> dict[str, Any]:
    """The runs of the tracker's study by key; no other run may exist in its experiment."""
    client = connect(tracker.uri)
    experiment = client.get_experiment_by_name(tracker.experiment_name)
    assert experiment is not None
    every = client.search_runs([experiment.experiment_id], max_results=1000)
    runs = find_runs(client, experiment.experiment_id, StudyInfo.read(tracker.folder).study_id)
    assert len(every) == len(runs), "a run exists twice"
    return runs


def history(tracker: MlflowTracker, key: str, metric: str) -> list[tuple[int, float]]:
    """The values of a metric by step."""
    points = connect(tracker.uri).get_metric_history(runs_of(tracker)[key].info.run_id, metric)
    return sorted((point.step, point.value) for point in points)


def all_runs(tracker: MlflowTracker) -> dict[str, Any]:
    """All active runs of the tracker's experiment by run id."""
    client = connect(tracker.uri)
    experiment = client.get_experiment_by_name(tracker.experiment_name)
    assert experiment is not None
    return {run.info.run_id: run for run in client.search_runs([experiment.experiment_id], max_results=1000)}
