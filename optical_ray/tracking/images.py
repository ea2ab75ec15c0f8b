"""What a mirror of a study should show, read from its folder alone: one ``RunImage`` a trial, baseline and teacher.

Besides the files that `optical_ray.study.records` names, and all optional: ``study.json`` holds ``experiment`` (the
resolved YAML), ``targets``, ``digests`` and ``git_commit``; ``baselines/<name>/baseline.json`` ``key`` and ``state``;
``teacher.json`` ``key``, ``state`` and ``rows`` (a metrics.jsonl, relative to the study's folder).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optical_ray.study.files import last_jsonl, read_json, read_jsonl
from optical_ray.study.records import Ledger, TrialRecord, TrialState, read_scores
from optical_ray.tracking.names import final_scores, flatten, row_name, stamp, text

STATUS = {
    TrialState.WAITING: "SCHEDULED",
    TrialState.RUNNING: "RUNNING",
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}
"""MLflow's word for each state: a trial that is FINISHED has its final scores."""


@dataclass(frozen=True)
class Point:
    """One value of one metric; ``time`` is in milliseconds."""

    name: str
    value: float
    step: int
    time: int


@dataclass(frozen=True)
class RunImage:
    """One run as it should be seen; ``stamp`` changes with every file that it was read from, times are in seconds."""

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
        """The metric rows beyond step ``after``, each as its points.

        Without a ``time`` of its own, a row's time follows from its step: a row that is sent twice is the same row for
        MLflow's database.
        """
        for row in read_jsonl(self.rows) if self.rows else ():
            step = int(row["step"])
            if step > after:
                time = int(1000 * row["time"]) if "time" in row else int(1000 * self.created) + step
                yield [
                    Point(row_name(name, self.targets), float(value), step, time)
                    for name, value in row.items()
                    if name not in ("step", "time") and isinstance(value, int | float)
                ]

    def final(self) -> list[Point]:
        """The final scores of both splits, once the run is FINISHED."""
        path = self.folder / "scores.json"
        if self.status != "FINISHED" or not path.is_file():
            return []
        time = int(1000 * path.stat().st_mtime)
        return [Point(name, value, self.steps, time) for name, value in final_scores(read_scores(self.folder)).items()]

    def artifacts(self) -> list[Path]:
        """Files to keep beside the run, once nothing is written to them any more."""
        if self.status in ("RUNNING", "SCHEDULED"):
            return []
        names = ("run.*.trec.gz", "per_query.parquet", "scores.json")
        return sorted(path for name in names for path in self.folder.glob(name))


def study_images(ledger: Ledger) -> Iterator[RunImage]:
    """The teacher, the baselines, then every trial that has been started, in the order of the ledger."""
    study = ledger.study
    targets = targets_of(study)
    shared = shared_tags(study)
    if (ledger.folder / "teacher.json").is_file():
        yield _teacher(ledger.folder, shared, study)
    for folder in sorted(path for path in (ledger.folder / "baselines").glob("*") if path.is_dir()):
        yield _baseline(folder, shared, targets)
    for record in ledger.records:
        if record.state is not TrialState.WAITING or record.attempts:
            yield _trial(ledger.trial_folder(record.key), record, shared, targets)


def shared_tags(study: Mapping[str, Any]) -> dict[str, str]:
    """The tags that all runs of a study bear: targets, git commit, data digest, as far as known."""
    tags = {
        "optical.targets": ",".join(targets_of(study)),
        "mlflow.source.git.commit": text(study.get("git_commit") or ""),
        "optical.data_digest": text(study.get("digests") or ""),
    }
    return {name: value for name, value in tags.items() if value}


def spec_of(study: Mapping[str, Any]) -> Mapping[str, Any]:
    """The resolved YAML in ``study.json``."""
    spec: Mapping[str, Any] = study.get("experiment") or {}
    return spec


def targets_of(study: Mapping[str, Any]) -> list[str]:
    """The target languages, in the spec's order."""
    targets = study.get("targets") or (spec_of(study).get("evaluation") or {}).get("targets") or ()
    return [str(target) for target in targets]


def _trial(folder: Path, record: TrialRecord, shared: Mapping[str, str], targets: list[str]) -> RunImage:
    sources = "+".join(record.source_languages)
    searched = [(name, value) for name, value in record.params.items() if name != "data.source_languages"]
    shown = [f"{name.rpartition('.')[2]}={_short(value)}" for name, value in searched]
    tags = {
        **shared,
        "optical.state": record.state.value,
        "optical.number": str(record.number),
        "optical.source_languages": sources,
        "optical.supervised_targets": ",".join(sorted(set(targets) & set(record.source_languages))),
        "optical.seed": str(record.seed),
        "optical.attempts": str(record.attempts),
        "optical.resumed_from": str(record.resumed_from),
        "optical.error": text(record.error or ""),
    }
    return RunImage(
        key=record.key,
        kind="trial",
        name=" ".join([f"{record.number:03d}", sources, *shown, f"seed={record.seed}"]),
        status=STATUS[record.state],
        folder=folder,
        stamp=stamp(folder.glob("[!.]*"), shared),
        tags=tags,
        params={**flatten(record.config), **flatten(record.params), "seed": str(record.seed)},
        targets=frozenset(targets),
        rows=folder / "metrics.jsonl",
        steps=record.steps,
        created=record.created,
        started=record.started or record.created,
        finished=record.finished,
    )


def _baseline(folder: Path, shared: Mapping[str, str], targets: list[str]) -> RunImage:
    """A baseline; of a control the curves are those of its first seed."""
    path = folder / "baseline.json"
    curves = sorted(folder.glob("seed-*/metrics.jsonl"))[:1]
    last = last_jsonl(curves[0]) if curves else None
    value = read_json(path) if path.is_file() else {}
    return RunImage(
        key=text(value.get("key") or f"baseline-{folder.name}"),
        kind="baseline",
        name=f"baseline {folder.name}",
        status=_status(value, done=(folder / "scores.json").is_file()),
        folder=folder,
        stamp=stamp([*folder.glob("[!.]*"), *curves], shared),
        tags={**shared, "optical.baseline": folder.name},
        params={"baseline": folder.name},
        targets=frozenset(targets),
        rows=curves[0] if curves else None,
        steps=int(last["step"]) if last else 0,
        started=folder.stat().st_mtime,
    )


def _teacher(folder: Path, shared: Mapping[str, str], study: Mapping[str, Any]) -> RunImage:
    path = folder / "teacher.json"
    value = read_json(path)
    trial = spec_of(study).get("trial") or {}
    config = {name: trial[name] for name in ("teacher", "teacher_training") if trial.get(name)}
    rows = folder / value["rows"] if value.get("rows") else None
    created = float(value.get("created") or path.stat().st_mtime)
    return RunImage(
        key=text(value.get("key") or "teacher"),
        kind="teacher",
        name="teacher",
        status=_status(value, done=True),
        folder=folder / "teacher",
        stamp=stamp([path, *([rows] if rows else [])], shared),
        tags=dict(shared),
        params=flatten(config),
        targets=frozenset(targets_of(study)),
        rows=rows,
        created=created,
        started=created,
    )


def _status(value: Mapping[str, Any], *, done: bool) -> str:
    if value.get("state") in TrialState.__members__:
        return STATUS[TrialState(value["state"])]
    return "FINISHED" if done else "RUNNING"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else text(value)
