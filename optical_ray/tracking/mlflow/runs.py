"""What the MLflow runs of a study should contain, read from the study's folder only.

There is one run for each trial, each baseline and the teacher. ``teacher.json`` holds ``key``, ``state`` and ``rows``,
the path of the teacher's metrics relative to the study's folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optical_ray.study.files import last_jsonl, read_json, read_jsonl
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import METRICS_FILE, RUN_PATTERN, ResultFolder, StudyFolder
from optical_ray.study.records import Ledger, TrialRecord, TrialState, read_scores
from optical_ray.tracking.mlflow.names import final_scores, flatten, metric_name, parameter_text, stamp_of

STATUS = {
    TrialState.WAITING: "SCHEDULED",
    TrialState.RUNNING: "RUNNING",
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}
"""MLflow's status for each state of a trial. Only a trial with final scores is FINISHED."""

UNFINISHED = ("RUNNING", "SCHEDULED")

SOURCES = "data.source_languages"


@dataclass(frozen=True)
class Point:
    """One value of one metric; ``time`` is in milliseconds since the epoch."""

    name: str
    value: float
    step: int
    time: int


@dataclass(frozen=True)
class RunContent:
    """What one MLflow run should contain.

    ``stamp`` changes whenever one of the files changes that the content is read from; ``created``, ``started`` and
    ``finished`` are in seconds since the epoch.
    """

    key: str
    kind: str
    name: str
    status: str
    folder: Path
    stamp: str
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    targets: frozenset[str] = frozenset()
    rows: Path | None = None
    steps: int = 0
    created: float = 0.0
    started: float = 0.0
    finished: float | None = None

    def points(self, *, after: int) -> Iterator[list[Point]]:
        """The metric rows after step ``after``, each as a list of points.

        A row without a ``time`` gets one that follows from its step, so that MLflow recognises a row that is sent
        twice.
        """
        for row in read_jsonl(self.rows) if self.rows else ():
            step = int(row["step"])
            if step > after:
                time = int(1000 * row["time"]) if "time" in row else int(1000 * self.created) + step
                yield [
                    Point(metric_name(name, self.targets), float(value), step, time)
                    for name, value in row.items()
                    if name not in ("step", "time") and isinstance(value, int | float)
                ]

    def final_points(self) -> list[Point]:
        """The final scores on both splits; empty before the run is FINISHED."""
        path = ResultFolder(self.folder).scores
        if self.status != "FINISHED" or not path.is_file():
            return []
        time = int(1000 * path.stat().st_mtime)
        return [Point(name, value, self.steps, time) for name, value in final_scores(read_scores(self.folder)).items()]

    def artifacts(self) -> list[Path]:
        """The result files; empty while they may still change."""
        if self.status in UNFINISHED:
            return []
        results = ResultFolder(self.folder)
        files = [*self.folder.glob(RUN_PATTERN), results.per_query, results.scores]
        return sorted(path for path in files if path.is_file())

    def stopped(self) -> RunContent:
        """The content after the launcher has ended; a run that has not finished is KILLED."""
        return replace(self, status="KILLED", stamp=f"{self.stamp}-stopped") if self.status in UNFINISHED else self


def study_runs(ledger: Ledger, info: StudyInfo) -> Iterator[RunContent]:
    """The runs of the teacher, the baselines and the trials that have started, in the order of the ledger."""
    tags, study = shared_tags(info), StudyFolder(ledger.folder)
    if study.teacher.is_file():
        yield _teacher_run(study, tags, info)
    for folder in sorted(path.parent for path in study.baselines.glob("*/baseline.json")):
        yield _baseline_run(folder, tags, info.targets)
    for record in ledger.records:
        if record.state is not TrialState.WAITING or record.attempts:
            yield _trial_run(study.trial(record.key), record, tags, info.targets)


def shared_tags(info: StudyInfo) -> dict[str, str]:
    """The tags of all runs of a study: targets, git commit and data digests, as far as they are known."""
    tags = {
        "optical.targets": ",".join(info.targets),
        "mlflow.source.git.commit": info.git_commit or "",
        "optical.data_digest": parameter_text(info.digests or ""),
    }
    return {name: value for name, value in tags.items() if value}


def _trial_run(
    folder: ResultFolder, record: TrialRecord, shared: Mapping[str, str], targets: Sequence[str]
) -> RunContent:
    sources = "+".join(record.source_languages)
    searched = [
        f"{path.rpartition('.')[2]}={_short_text(value)}" for path, value in record.params.items() if path != SOURCES
    ]
    tags = {
        **shared,
        "optical.state": record.state.value,
        "optical.number": str(record.number),
        "optical.source_languages": sources,
        "optical.supervised_targets": ",".join(sorted(set(targets) & set(record.source_languages))),
        "optical.seed": str(record.seed),
        "optical.attempts": str(record.attempts),
        "optical.resumed_from": str(record.resumed_from),
        "optical.error": parameter_text(record.error or ""),
    }
    return RunContent(
        key=record.key,
        kind="trial",
        name=" ".join([f"{record.number:03d}", sources, *searched, f"seed={record.seed}"]),
        status=STATUS[record.state],
        folder=folder.path,
        stamp=stamp_of(folder.path.glob("[!.]*"), shared),
        tags=tags,
        params={**flatten(record.config), **flatten(record.params), "seed": str(record.seed)},
        targets=frozenset(targets),
        rows=folder.metrics,
        steps=record.steps,
        created=record.created,
        started=record.started or record.created,
        finished=record.finished,
    )


def _baseline_run(folder: Path, shared: Mapping[str, str], targets: Sequence[str]) -> RunContent:
    """The run of a baseline; the curves of a control are those of its first seed."""
    results = ResultFolder(folder)
    rows = next(iter(sorted(folder.glob(f"seed-*/{METRICS_FILE}"))), None)
    last_row = last_jsonl(rows) if rows else None
    state = read_json(results.baseline)
    return RunContent(
        key=parameter_text(state.get("key") or f"baseline-{folder.name}"),
        kind="baseline",
        name=f"baseline {folder.name}",
        status=_status_of(state, has_results=results.scores.is_file()),
        folder=folder,
        stamp=stamp_of([*folder.glob("[!.]*"), *([rows] if rows else [])], shared),
        tags={**shared, "optical.baseline": folder.name},
        params={"baseline": folder.name},
        targets=frozenset(targets),
        rows=rows,
        steps=int(last_row["step"]) if last_row else 0,
        started=folder.stat().st_mtime,
    )


def _teacher_run(study: StudyFolder, shared: Mapping[str, str], info: StudyInfo) -> RunContent:
    state = read_json(study.teacher)
    trial = info.experiment.get("trial", {})
    rows = study.path / state["rows"] if state.get("rows") else None
    created = float(state.get("created") or study.teacher.stat().st_mtime)
    return RunContent(
        key=parameter_text(state.get("key") or "teacher"),
        kind="teacher",
        name="teacher",
        status=_status_of(state, has_results=True),
        folder=study.path / "teacher",
        stamp=stamp_of([study.teacher, *([rows] if rows else [])], shared),
        tags=dict(shared),
        params=flatten({name: trial[name] for name in ("teacher", "teacher_training") if trial.get(name)}),
        targets=frozenset(info.targets),
        rows=rows,
        created=created,
        started=created,
    )


def _status_of(state: Mapping[str, Any], *, has_results: bool) -> str:
    if state.get("state") in TrialState.__members__:
        return STATUS[TrialState(state["state"])]
    return "FINISHED" if has_results else "RUNNING"


def _short_text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else parameter_text(value)
