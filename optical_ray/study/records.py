"""The study's folder is its truth: one folder a trial, one JSON for its state, written by the launcher alone.

::

    <storage>/<study>/study.json  lease.json
        trials/<key>/trial.json          state; once finished it never changes
                     metrics.jsonl       rows {"step": 50, "loss": 0.4, "ot/marginal_error": 1e-4, "AP/sw": 0.1, ...}
                     scores.json         {"eval": {"AP": {"sw": 0.12}}, "test": {"AP": {"sw": 0.10}}}
                     per_query.parquet   columns split, target, metric, topic_id, value
                     run.<target>.trec.gz
        baselines/<name>/                baseline.json, scores.json, per_query.parquet, run.<target>.trec.gz
                                         (of a control: the means over seed-<n>/, a folder for each seed's student)
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from optical_ray.study.files import append_jsonl, last_jsonl, read_json, read_jsonl, write_json
from optical_ray.types import InputError

VERSION = 1

Scores = dict[str, dict[str, dict[str, float]]]
"""Mean scores: ``split -> metric -> target -> value``."""


class TrialState(StrEnum):
    """Optuna's five states."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more (a FAIL may still be tried again while attempts are left)."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class TrialRecord:
    """One trial: a full configuration with one seed.

    ``params`` are the searched values by dotted path (a language subset is a label such as ``"de+hi"``);
    ``config`` is the whole ``trial`` block; ``resumed_from`` the step that the last attempt started at;
    times are seconds since the epoch; ``seconds`` is the time spent in all attempts.
    """

    key: str
    number: int
    params: Mapping[str, Any]
    seed: int
    config: Mapping[str, Any]
    source_languages: tuple[str, ...]
    steps: int
    state: TrialState = TrialState.WAITING
    attempts: int = 0
    resumed_from: int = 0
    error: str | None = None
    retryable: bool = False
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The content of ``trial.json``."""
        return {"version": VERSION, **asdict(self), "state": self.state.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrialRecord:
        """Read what ``to_json`` wrote; raises ``InputError`` for a folder of another version."""
        value = dict(value)
        version = value.pop("version", None)
        if version != VERSION:
            raise InputError(f"trial {value.get('key')}: layout version {version}, this program reads {VERSION}")
        value["state"] = TrialState(value["state"])
        value["source_languages"] = tuple(value["source_languages"])
        return cls(**value)


@dataclass
class Ledger:
    """The records of one study. Everybody may read; only the launcher that holds the lease may write."""

    folder: Path
    _records: dict[str, TrialRecord] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> Ledger:
        """Read every record of ``folder``; raises ``InputError`` where it is no study."""
        if not (folder / "study.json").is_file():
            raise InputError(f"{folder}: no study.json here; give the folder that `optical-ray run` wrote")
        ledger = cls(folder)
        ledger.refresh()
        return ledger

    def refresh(self) -> None:
        """Read the records anew (a reader beside a running study)."""
        found = [read_json(path) for path in (self.folder / "trials").glob("*/trial.json")]
        records = sorted((TrialRecord.from_json(value) for value in found), key=lambda record: record.number)
        self._records = {record.key: record for record in records}

    @property
    def study(self) -> dict[str, Any]:
        """The content of ``study.json``."""
        value: dict[str, Any] = read_json(self.folder / "study.json")
        return value

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """All trials in the order they were created."""
        return tuple(self._records.values())

    def get(self, key: str) -> TrialRecord | None:
        """The record of ``key``, or ``None``."""
        return self._records.get(key)

    def find(self, key: str) -> TrialRecord:
        """The record of ``key``; raises ``InputError`` with the most similar keys if there is no such trial."""
        record = self.get(key)
        if record is not None:
            return record
        keys = list(self._records)
        with_prefix = [known for known in keys if key and known.startswith(key)]
        nearest = (with_prefix or difflib.get_close_matches(key, keys, n=3, cutoff=0.3) or keys)[:3]
        raise InputError(
            f"trial {key!r}: not in {self.folder} (nearest keys: {', '.join(nearest) or 'the study has no trials'}). "
            f"`optical-ray status {self.folder} --json` lists all keys."
        )

    def trial_folder(self, key: str) -> Path:
        """Where the trial's files lie."""
        return self.folder / "trials" / key

    # ---- writing: the launcher alone

    def create(
        self,
        key: str,
        *,
        params: Mapping[str, Any],
        seed: int,
        config: Mapping[str, Any],
        source_languages: tuple[str, ...],
        steps: int,
    ) -> TrialRecord:
        """The record of ``key``, made as WAITING where there is none yet."""
        known = self._records.get(key)
        if known is not None:
            return known
        number = 1 + max((record.number for record in self.records), default=-1)
        record = TrialRecord(key, number, params, seed, config, source_languages, steps, created=time.time())
        return self._put(record)

    def start(self, key: str, *, resumed_from: int) -> TrialRecord:
        """One more attempt begins at step ``resumed_from`` (0: from scratch)."""
        record = self._writable(key)
        started = replace(
            record,
            state=TrialState.RUNNING,
            attempts=record.attempts + 1,
            resumed_from=resumed_from,
            started=time.time(),
            error=None,
        )
        return self._put(started)

    def resume(self, key: str, *, resumed_from: int) -> TrialRecord:
        """Say where the attempt that runs began, once its worker knows."""
        record = self._writable(key)
        return record if record.resumed_from == resumed_from else self._put(replace(record, resumed_from=resumed_from))

    def log(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Append metric rows; a row at or below the last step that is there is left out, so steps are monotone."""
        path = self.trial_folder(key) / "metrics.jsonl"
        last = self.last_step(key)
        fresh = [row for row in rows if row["step"] > last]
        if fresh:
            append_jsonl(path, fresh)

    def finish(self, key: str, state: TrialState, *, error: str | None = None, retryable: bool = False) -> TrialRecord:
        """Close the running attempt; scores and per-query files must lie there before COMPLETE is said."""
        assert state.is_finished, state
        record = self._writable(key)
        now = time.time()
        finished = replace(
            record,
            state=state,
            error=error,
            retryable=retryable,
            finished=now,
            seconds=record.seconds + (now - (record.started or now)),
        )
        return self._put(finished)

    def _writable(self, key: str) -> TrialRecord:
        record = self._records[key]
        if record.state.is_finished and not (record.state is TrialState.FAIL and record.retryable):
            raise RuntimeError(f"trial {key} is {record.state.value}: a finished trial never changes")
        return record

    def _put(self, record: TrialRecord) -> TrialRecord:
        folder = self.trial_folder(record.key)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "trial.json", record.to_json())
        self._records[record.key] = record
        return record

    # ---- reading

    def last_step(self, key: str) -> int:
        """The last step in the trial's ``metrics.jsonl``; 0 where there is none."""
        row = self.last_row(key)
        return 0 if row is None else int(row["step"])

    def last_row(self, key: str) -> dict[str, Any] | None:
        """The last metric row of a trial; ``None`` before its first."""
        return last_jsonl(self.trial_folder(key) / "metrics.jsonl")

    def rows(self, key: str) -> list[dict[str, Any]]:
        """The metric rows of a trial, by step."""
        return list(read_jsonl(self.trial_folder(key) / "metrics.jsonl"))

    def scores(self, key: str) -> Scores:
        """Mean scores of a trial; empty where it has none yet."""
        return read_scores(self.trial_folder(key))

    def baselines(self) -> dict[str, Scores]:
        """Mean scores of every baseline, by name, "undistilled" first."""
        folders = sorted((self.folder / "baselines").glob("*/scores.json"))
        names = sorted((path.parent.name for path in folders), key=lambda name: (name != "undistilled", name))
        return {name: read_scores(self.folder / "baselines" / name) for name in names}

    def failed_baselines(self) -> dict[str, str]:
        """The baselines that could not be made, by name, with the reason."""
        found = [read_json(path) for path in sorted((self.folder / "baselines").glob("*/baseline.json"))]
        return {one["name"]: str(one.get("error")) for one in found if one["state"] == "FAIL"}


def read_scores(folder: Path) -> Scores:
    """The content of ``scores.json`` in a trial's or a baseline's folder; empty where there is none."""
    path = folder / "scores.json"
    value: Scores = read_json(path) if path.is_file() else {}
    return value
