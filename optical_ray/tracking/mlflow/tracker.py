"""Writes a study to MLflow: a parent run for the study and a child run for each trial, baseline and teacher.

Tags identify the runs: ``optical.study_id`` and ``optical.trial_key``. The tag ``optical.logged_step`` is the last step
whose metrics the run holds and is written in the same request as they are. The tag ``optical.stamp`` identifies the
state of the files that the run shows, so that one query finds out that nothing has changed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optical_ray.study.changes import is_fixed
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import StudyFolder
from optical_ray.study.records import Ledger, TrialState
from optical_ray.tracking.interface import Problem, Tracker
from optical_ray.tracking.mlflow.failures import explain, without_password
from optical_ray.tracking.mlflow.names import flatten, stamp_of
from optical_ray.tracking.mlflow.runs import UNFINISHED, Point, RunContent, shared_tags, study_runs
from optical_ray.tracking.mlflow.store import (
    connect,
    default_uri,
    ensure_experiment,
    find_runs,
    locked,
    store_artifact,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MAX_METRICS = 900
"""Metrics in one request; MLflow accepts 1000 metrics, parameters and tags in total."""

MAX_PARAMS = 90
"""Parameters in one request; MLflow accepts 100."""

PARENT = ""
"""The parent run's key."""


class MlflowTracker(Tracker):
    """Writes the study in ``study_folder`` to an MLflow store.

    ``uri`` is the store (default: ``mlflow.db`` in the storage), ``experiment_name`` the experiment (default: the
    name of the study). Nothing is opened before the first ``sync``, which raises if the store cannot be used.
    """

    def __init__(self, study_folder: Path, uri: str | None = None, experiment_name: str | None = None) -> None:
        self.folder = study_folder.resolve()
        self.storage = self.folder.parent
        self.uri = uri or default_uri(self.storage)
        self.experiment_name = experiment_name or self.folder.name
        self._shown: dict[str, str] = {}
        self._store: _Store | None = None

    @property
    def name(self) -> str:
        return "MLflow"

    @property
    def destination(self) -> str:
        return without_password(self.uri)

    def sync(self) -> None:
        """Bring MLflow up to date; a run that fails does not keep the others from being updated."""
        self._update(closing=False)

    def close(self, timeout: float) -> None:
        """Bring MLflow up to date, set runs that have not finished to KILLED, and set the parent's status."""
        self._update(closing=True, timeout=timeout)

    def behind(self) -> tuple[str, ...]:
        """Keys of the runs whose files have changed since this process wrote them."""
        runs = study_runs(Ledger.open(self.folder), StudyInfo.read(self.folder))
        return tuple(run.key for run in runs if self._shown.get(run.key) not in (run.stamp, run.stopped().stamp))

    def problem(self) -> Problem | None:
        """The reason and the remedy if the store does not answer a query, or the experiment was deleted."""
        try:
            client = connect(self.uri)
            experiment = client.get_experiment_by_name(self.experiment_name)
            if experiment is not None and experiment.lifecycle_stage != "active":
                ensure_experiment(client, self.uri, self.experiment_name, self.storage)
        except Exception as error:
            return self.explain(error)
        return None

    def explain(self, error: Exception) -> Problem:
        return explain(error, self.uri)

    def _update(self, *, closing: bool, timeout: float = 10.0) -> None:
        ledger, info = Ledger.open(self.folder), StudyInfo.read(self.folder)
        with locked(self.storage / ".mlflow.lock", timeout):
            if self._store is None:
                self._shown = {}
            store = self._store or _Store.open(self, info)
            self._store = None  # after a failure below, the next call reads the store again
            store.ensure_parent(info, closing=closing)
            failures: list[Exception] = []
            for run in study_runs(ledger, info):
                content = run.stopped() if closing else run
                if self._shown.get(content.key) == content.stamp:
                    continue
                try:
                    store.write(content)
                    self._shown[content.key] = content.stamp
                except Exception as error:
                    failures.append(error)
                    if len(failures) == 3:  # the cause is the store, not a single run
                        break
            store.write_parent(ledger, info, closing=closing)
            if failures:
                raise failures[0]
            self._store = store


@dataclass
class _Store:
    """An open store, and what is known of the study's runs in it."""

    client: MlflowClient
    experiment: str
    study_id: str
    known: dict[str, _KnownRun] = field(default_factory=dict)

    @classmethod
    def open(cls, tracker: MlflowTracker, info: StudyInfo) -> _Store:
        client = connect(tracker.uri)
        experiment = ensure_experiment(client, tracker.uri, tracker.experiment_name, tracker.storage)
        runs = find_runs(client, experiment, info.study_id)
        known = {key: _KnownRun.from_run(run) for key, run in runs.items()}
        return cls(client, experiment, info.study_id, known)

    def ensure_parent(self, info: StudyInfo, *, closing: bool) -> None:
        """Create the parent run, or reopen it if an earlier launcher has closed it and this one continues."""
        known = self._ensure(PARENT, info.name, started=info.created, tags={"optical.study": info.name})
        if not closing:
            self._set_status(known, "RUNNING", None)

    def write_parent(self, ledger: Ledger, info: StudyInfo, *, closing: bool) -> None:
        """Update the parent run: the spec as parameters and artifact, the report, the number of trials by state."""
        study = StudyFolder(ledger.folder)
        files = [study.info, *sorted(study.path.glob("*.yaml"))]
        stamp = stamp_of([*files, *study.report.glob("*")])
        states = Counter(record.state for record in ledger.records)
        known = self.known[PARENT]
        self._describe(
            known,
            # MLflow's parameters cannot change, so those of the spec that a later launch may change are left out
            params={name: value for name, value in flatten(info.experiment).items() if is_fixed(name)},
            tags={
                **shared_tags(info),
                "optical.kind": "study",
                "optical.trials": ", ".join(f"{states[state]} {state.value}" for state in sorted(states)),
            },
        )
        if closing:
            self._set_status(known, _final_status(states), None)
        if known.tags.get("optical.stamp") != stamp:
            for path in files:
                self.client.log_artifact(known.run_id, str(path))
            if study.report.is_dir():
                self.client.log_artifacts(known.run_id, str(study.report), "report")
            self._describe(known, params={}, tags={"optical.stamp": stamp})

    def write(self, run: RunContent) -> None:
        """Bring a child run up to date with its content."""
        parent = {"mlflow.parentRunId": self.known[PARENT].run_id}
        identity = {"optical.trial_key": run.key, "optical.kind": run.kind, **parent}
        known = self.known.get(run.key)
        if known and known.status == run.status and known.has_tags({"optical.stamp": run.stamp, **identity}):
            return
        known = self._ensure(run.key, run.name, started=run.started, tags=identity)
        self._describe(known, params=run.params, tags={**run.tags, **parent})
        self._log_rows(known, run)
        new = [point for point in run.final_points() if known.metrics.get(point.name) != point.value]
        self._log(known, new, tags={})
        self._set_status(known, run.status, run.finished)
        for path in run.artifacts():
            store_artifact(self.client, known.run_id, known.artifact_uri, path)
        self._describe(known, params={}, tags={"optical.stamp": run.stamp})

    def _ensure(self, key: str, name: str, *, started: float, tags: Mapping[str, str]) -> _KnownRun:
        if key not in self.known:
            tags = {"optical.study_id": self.study_id, **tags}
            run = self.client.create_run(self.experiment, start_time=int(1000 * started), tags=tags, run_name=name)
            self.known[key] = _KnownRun.from_run(run)
        return self.known[key]

    def _describe(self, known: _KnownRun, *, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        missing = [Param(name, value) for name, value in params.items() if name not in known.params]
        for start in range(0, len(missing), MAX_PARAMS):
            chunk = missing[start : start + MAX_PARAMS]
            self.client.log_batch(known.run_id, params=chunk)
            known.params |= {param.key for param in chunk}
        self._log(known, [], tags={name: value for name, value in tags.items() if known.tags.get(name, "") != value})

    def _log_rows(self, known: _KnownRun, run: RunContent) -> None:
        waiting: list[Point] = []
        for points in run.points(after=known.logged_step):
            if waiting and len(waiting) + len(points) > MAX_METRICS:
                self._log(known, waiting, tags={"optical.logged_step": str(waiting[-1].step)})
                waiting = []
            waiting += points
        if waiting:
            self._log(known, waiting, tags={"optical.logged_step": str(waiting[-1].step)})

    def _log(self, known: _KnownRun, points: list[Point], *, tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        if points or tags:
            metrics = [Metric(point.name, point.value, point.time, point.step) for point in points]
            self.client.log_batch(known.run_id, metrics, tags=[RunTag(name, value) for name, value in tags.items()])
            known.tags |= tags
            known.metrics |= {point.name: point.value for point in points}

    def _set_status(self, known: _KnownRun, status: str, finished: float | None) -> None:
        if known.status == status:
            return
        if status in UNFINISHED:
            self.client.update_run(known.run_id, status=status)
        else:
            self.client.set_terminated(known.run_id, status, end_time=int(1000 * (finished or time.time())))
        known.status = status


def _final_status(states: Counter[TrialState]) -> str:
    """MLflow's status of a study whose launcher has ended."""
    if not all(state.is_finished for state in states):
        return "KILLED"
    return "FAILED" if set(states) == {TrialState.FAIL} else "FINISHED"


@dataclass
class _KnownRun:
    """What a run in the store is known to contain."""

    run_id: str
    artifact_uri: str
    status: str
    params: set[str]
    tags: dict[str, str]
    metrics: dict[str, Any]

    @classmethod
    def from_run(cls, run: Run) -> _KnownRun:
        info, data = run.info, run.data
        tags, metrics = dict(data.tags), dict(data.metrics)
        return cls(info.run_id, info.artifact_uri or "", info.status, set(data.params), tags, metrics)

    @property
    def logged_step(self) -> int:
        """The last step whose metrics the run holds."""
        return int(self.tags.get("optical.logged_step", -1))

    def has_tags(self, tags: Mapping[str, str]) -> bool:
        """Whether the run has all of ``tags``."""
        return all(self.tags.get(name) == value for name, value in tags.items())
