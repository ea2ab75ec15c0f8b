"""The study in MLflow: one parent run a study, one child a trial, a baseline, a teacher; found again by their keys.

A child's metrics go up to the step in its tag ``optical.logged_step``, which travels with them; ``optical.stamp`` says
which state of the files it shows, so a study that is all there costs one query.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optical_ray.study.records import Ledger, TrialState
from optical_ray.tracking.images import Point, RunImage, shared_tags, spec_of, study_images
from optical_ray.tracking.interface import Tracker
from optical_ray.tracking.names import flatten, stamp
from optical_ray.tracking.store import connect, default_uri, ensure_experiment, find_runs, keep, locked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BATCH = 900
"""Metrics in one request; MLflow takes 1000 things in all."""

PARAMS = 90
"""Parameters in one request; MLflow takes 100."""

CHANGEABLE = ("search.num_trials", "search.seeds", "evaluation.", "compute.", "tracking.", "data.collections.")
"""What a rerun may change is no parameter of the parent run: MLflow's parameters are written once."""


class MlflowMirror(Tracker):
    """Mirrors ``study_folder`` into an MLflow store.

    ``uri`` names the store (default: ``mlflow.db`` beside the study), ``experiment_name`` the experiment (default: the
    study's name). Nothing is opened before the first ``sync``, which raises where the store cannot be had.
    """

    def __init__(self, study_folder: Path, uri: str | None = None, experiment_name: str | None = None) -> None:
        self.folder = study_folder.resolve()
        self.storage = self.folder.parent
        self.uri = uri or default_uri(self.storage)
        self.experiment_name = experiment_name or self.folder.name
        self._shown: dict[str, str] = {}
        self._store: _Store | None = None

    @classmethod
    def of(cls, ledger: Ledger, uri: str | None = None, experiment_name: str | None = None) -> MlflowMirror:
        """The mirror that the study was run with, but for what is named here."""
        tracking = spec_of(ledger.study).get("tracking") or {}
        return cls(ledger.folder, uri or tracking.get("uri"), experiment_name or tracking.get("experiment"))

    def sync(self) -> None:
        """Bring MLflow up to date with the ledger; raises the first failure after trying the other runs."""
        self._mirror(closing=False)

    def close(self, timeout: float) -> None:
        """Like ``sync``, with the runs that will not go on as KILLED, and the parent's status set."""
        self._mirror(closing=True, patience=timeout)

    def behind(self) -> tuple[str, ...]:
        """Keys of the runs whose files have changed since they were shown by this process."""
        images = study_images(Ledger.open(self.folder))
        return tuple(
            image.key for image in images if self._shown.get(image.key) not in (image.stamp, _stopped(image).stamp)
        )

    def _mirror(self, *, closing: bool, patience: float = 10.0) -> None:
        ledger = Ledger.open(self.folder)
        with locked(self.storage / ".mlflow.lock", patience):
            store = self._store or _Store.open(self)
            self._store = None  # whatever fails below: look again the next time
            store.ensure_parent(ledger, closing=closing)
            failures: list[Exception] = []
            for image in study_images(ledger):
                if closing and image.status in ("RUNNING", "SCHEDULED"):
                    image = _stopped(image)
                if self._shown.get(image.key) == image.stamp:
                    continue
                try:
                    store.show(image)
                    self._shown[image.key] = image.stamp
                except Exception as error:
                    failures.append(error)
                    if len(failures) == 3:  # it is not this run, it is the store
                        break
            store.show_parent(ledger, closing=closing)
            if failures:
                raise failures[0]
            self._store = store


@dataclass
class _Store:
    """An open store with what is known of the study's runs there."""

    client: MlflowClient
    experiment: str
    study: str
    known: dict[str, _Known] = field(default_factory=dict)

    @classmethod
    def open(cls, mirror: MlflowMirror) -> _Store:
        client = connect(mirror.uri)
        experiment = ensure_experiment(client, mirror.uri, mirror.experiment_name, mirror.storage)
        runs = find_runs(client, experiment, mirror.folder.name)
        known = {key: _Known.of(run) for key, run in runs.items()}
        return cls(client, experiment, mirror.folder.name, known)

    def ensure_parent(self, ledger: Ledger, *, closing: bool) -> None:
        """The parent run, open again where an earlier launcher has closed it and this one goes on."""
        known = self._ensure("", self.study, started=float(ledger.study.get("created") or time.time()), tags={})
        if not closing:
            self._set_status(known, "RUNNING", None)

    def show_parent(self, ledger: Ledger, *, closing: bool) -> None:
        """The parent run: the spec as parameters and artifact, the report, the number of trials in each state."""
        files = [ledger.folder / "study.json", *sorted(ledger.folder.glob("*.yaml"))]
        report = ledger.folder / "report"
        seen = stamp([*files, *report.glob("*")])
        states = Counter(record.state for record in ledger.records)
        known = self.known[""]
        self._describe(
            known,
            params={k: v for k, v in flatten(spec_of(ledger.study)).items() if not k.startswith(CHANGEABLE)},
            tags={
                **shared_tags(ledger.study),
                "optical.kind": "study",
                "optical.trials": ", ".join(f"{states[state]} {state.value}" for state in sorted(states)),
            },
        )
        if closing:
            self._set_status(known, _closing_status(states), None)
        if known.tags.get("optical.stamp") != seen:
            for path in files:
                self.client.log_artifact(known.run_id, str(path))
            if report.is_dir():
                self.client.log_artifacts(known.run_id, str(report), "report")
            self._describe(known, params={}, tags={"optical.stamp": seen})

    def show(self, image: RunImage) -> None:
        """Make the child run look like ``image``."""
        known = self.known.get(image.key)
        if known and known.tags.get("optical.stamp") == image.stamp and known.status == image.status:
            return
        parent = {"mlflow.parentRunId": self.known[""].run_id}
        identity = {"optical.trial_key": image.key, "optical.kind": image.kind, **parent}
        known = self._ensure(image.key, image.name, started=image.started, tags=identity)
        self._describe(known, params=image.params, tags={**image.tags, **parent})
        self._log_rows(known, image)
        final = [point for point in image.final() if known.metrics.get(point.name) != point.value]
        self._log(known, final, tags={})
        self._set_status(known, image.status, image.finished)
        for path in image.artifacts():
            keep(self.client, known.run_id, known.artifacts, path)
        self._describe(known, params={}, tags={"optical.stamp": image.stamp})

    def _ensure(self, key: str, name: str, *, started: float, tags: Mapping[str, str]) -> _Known:
        if key not in self.known:
            tags = {"optical.study": self.study, **tags}
            run = self.client.create_run(self.experiment, start_time=int(1000 * started), tags=tags, run_name=name)
            self.known[key] = _Known.of(run)
        return self.known[key]

    def _describe(self, known: _Known, *, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        missing = [Param(name, value) for name, value in params.items() if name not in known.params]
        for start in range(0, len(missing), PARAMS):
            chunk = missing[start : start + PARAMS]
            self.client.log_batch(known.run_id, params=chunk)
            known.params |= {param.key for param in chunk}
        self._log(known, [], tags={name: value for name, value in tags.items() if known.tags.get(name, "") != value})

    def _log_rows(self, known: _Known, image: RunImage) -> None:
        waiting: list[Point] = []
        for points in image.points(after=known.logged_step):
            if waiting and len(waiting) + len(points) > BATCH:
                self._log(known, waiting, tags={"optical.logged_step": str(waiting[-1].step)})
                waiting = []
            waiting += points
        if waiting:
            self._log(known, waiting, tags={"optical.logged_step": str(waiting[-1].step)})

    def _log(self, known: _Known, points: list[Point], *, tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        if points or tags:
            metrics = [Metric(point.name, point.value, point.time, point.step) for point in points]
            self.client.log_batch(known.run_id, metrics, tags=[RunTag(name, value) for name, value in tags.items()])
            known.tags |= tags
            known.metrics |= {point.name: point.value for point in points}

    def _set_status(self, known: _Known, status: str, finished: float | None) -> None:
        if known.status == status:
            return
        if status in ("RUNNING", "SCHEDULED"):
            self.client.update_run(known.run_id, status=status)
        else:
            self.client.set_terminated(known.run_id, status, end_time=int(1000 * (finished or time.time())))
        known.status = status


def _stopped(image: RunImage) -> RunImage:
    """The run once its launcher is gone."""
    return replace(image, status="KILLED", stamp=f"{image.stamp}-stopped")


def _closing_status(states: Counter[TrialState]) -> str:
    if not all(state.is_finished for state in states):
        return "KILLED"
    return "FAILED" if set(states) == {TrialState.FAIL} else "FINISHED"


@dataclass
class _Known:
    """What a run in the store is known to hold."""

    run_id: str
    artifacts: str
    status: str
    params: set[str]
    tags: dict[str, str]
    metrics: dict[str, Any]

    @classmethod
    def of(cls, run: Run) -> _Known:
        data = run.data
        return cls(
            run.info.run_id,
            run.info.artifact_uri or "",
            run.info.status,
            set(data.params),
            dict(data.tags),
            dict(data.metrics),
        )

    @property
    def logged_step(self) -> int:
        return int(self.tags.get("optical.logged_step", -1))
