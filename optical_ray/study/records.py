"""The state of every trial, one JSON file each, written only by the launcher that holds the study's lease."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from optical_ray.study.files import append_jsonl, first_jsonl, last_jsonl, read_json, read_jsonl, write_json
from optical_ray.study.info import VERSION, StudyInfo
from optical_ray.study.layout import UNDISTILLED, ResultFolder, StudyFolder
from optical_ray.types import InputError

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
        """Whether the trial has ended (a FAIL may still be tried again while attempts are left)."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class TrialRecord:
    """One trial: a full configuration with one seed.

    ``params`` are the searched values by dotted path (a set of languages is a label such as ``"de+hi"``);
    ``config`` is the whole ``trial`` block; ``resumed_from`` is the step at which the last attempt started (0: from
    scratch); times are seconds since the epoch; ``seconds`` is the time spent in all attempts.
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

    @property
    def configuration(self) -> str:
        """Equal for trials that differ only in their seed."""
        return configuration_id(self.params)

    def to_json(self) -> dict[str, Any]:
        """The content of ``trial.json``."""
        return {"version": VERSION, **asdict(self), "state": self.state.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrialRecord:
        """Read what ``to_json`` wrote; raises ``InputError`` for another layout version."""
        value = dict(value)
        version = value.pop("version", None)
        if version != VERSION:
            raise InputError(f"trial {value.get('key')}: unknown layout version (got {version}, expected {VERSION})")
        value["state"] = TrialState(value["state"])
        value["source_languages"] = tuple(value["source_languages"])
        return cls(**value)


def configuration_id(params: Mapping[str, Any]) -> str:
    """A string that is equal for equal searched values, whatever their order.

    >>> configuration_id({"b": 0.1, "a": "de+hi"})
    '{"a": "de+hi", "b": 0.1}'
    """
    return json.dumps(dict(params), sort_keys=True, ensure_ascii=False, allow_nan=False)


@dataclass
class Ledger:
    """The records of one study. Any process may read them; only the launcher that holds the lease may write."""

    folder: Path
    _records: dict[str, TrialRecord] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    """Why a trial's record cannot be read, by the name of the trial's folder."""

    @classmethod
    def open(cls, folder: Path) -> Ledger:
        """Read every record of ``folder``; raises ``InputError`` if it is not a study."""
        StudyInfo.read(folder)
        ledger = cls(folder)
        ledger.refresh()
        return ledger

    def refresh(self) -> None:
        """Read the records again, to follow a study that another process runs."""
        records, self.damaged = [], {}
        for path in sorted(self.layout.trials.glob("*/trial.json")):
            try:
                records.append(TrialRecord.from_json(read_json(path)))
            except InputError:
                raise
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                self.damaged[path.parent.name] = f"{path}: damaged ({type(error).__name__}: {str(error)[:200]})"
        self._records = {record.key: record for record in sorted(records, key=lambda record: record.number)}

    @property
    def layout(self) -> StudyFolder:
        """The names of the study's files."""
        return StudyFolder(self.folder)

    @property
    def info(self) -> StudyInfo:
        """The content of ``study.json``."""
        return StudyInfo.read(self.folder)

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """All trials in the order they were created."""
        return tuple(self._records.values())

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The trials that ended with scores."""
        return tuple(record for record in self.records if record.state is TrialState.COMPLETE)

    def get(self, key: str) -> TrialRecord | None:
        """The record of ``key``, or None."""
        return self._records.get(key)

    def find(self, key: str) -> TrialRecord:
        """The record of ``key``; raises ``InputError`` with the most similar keys if the study has no such trial."""
        if key in self._records:
            return self._records[key]
        keys = list(self._records)
        similar = [known for known in keys if key and known.startswith(key)]
        similar = (similar or difflib.get_close_matches(key, keys, n=3, cutoff=0.3) or keys)[:3]
        hint = f"nearest keys: {', '.join(similar)}" if similar else "the study has no trials"
        raise InputError(
            f"trial {key!r}: not in {self.folder} ({hint}). `optical-ray status {self.folder} --json` lists all keys."
        )

    def trial_folder(self, key: str) -> Path:
        """Where the trial's files are stored."""
        return self.layout.trial(key).path

    # ---- writing, by the launcher only

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
        """The record of ``key``, created as WAITING if it does not exist."""
        known = self._records.get(key)
        if known is not None:
            return known
        number = 1 + max((record.number for record in self.records), default=-1)
        record = TrialRecord(key, number, params, seed, config, source_languages, steps, created=time.time())
        return self._put(record)

    def start(self, key: str, *, resumed_from: int) -> TrialRecord:
        """Begin one more attempt at step ``resumed_from`` (0: from scratch)."""
        record = self._writable(key)
        return self._put(
            replace(
                record,
                state=TrialState.RUNNING,
                attempts=record.attempts + 1,
                resumed_from=resumed_from,
                started=time.time(),
                error=None,
            )
        )

    def resume(self, key: str, *, resumed_from: int) -> TrialRecord:
        """Record at which step the running attempt began, once its worker knows."""
        record = self._writable(key)
        return record if record.resumed_from == resumed_from else self._put(replace(record, resumed_from=resumed_from))

    def log(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Append metric rows. Rows at or below the last logged step are skipped, so that steps increase."""
        last = self.last_step(key)
        if fresh := [row for row in rows if row["step"] > last]:
            append_jsonl(self.layout.trial(key).metrics, fresh)

    def finish(self, key: str, state: TrialState, *, error: str | None = None, retryable: bool = False) -> TrialRecord:
        """End the running attempt. Before COMPLETE, the trial's scores and per-query files must be stored."""
        assert state.is_finished, state
        record = self._writable(key)
        now = time.time()
        return self._put(
            replace(
                record,
                state=state,
                error=error,
                retryable=retryable,
                finished=now,
                seconds=record.seconds + (now - (record.started or now)),
            )
        )

    def _writable(self, key: str) -> TrialRecord:
        record = self._records[key]
        if record.state.is_finished and not (record.state is TrialState.FAIL and record.retryable):
            raise RuntimeError(f"trial {key} is {record.state.value}: a finished trial never changes")
        return record

    def _put(self, record: TrialRecord) -> TrialRecord:
        path = self.layout.trial(record.key).trial
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, record.to_json())
        self._records[record.key] = record
        return record

    # ---- reading

    def last_step(self, key: str) -> int:
        """The last logged step of a trial; 0 before its first."""
        row = self.last_row(key)
        return 0 if row is None else int(row["step"])

    def last_row(self, key: str) -> dict[str, Any] | None:
        """The last metric row of a trial; None before its first step."""
        return last_jsonl(self.layout.trial(key).metrics)

    def first_row(self, key: str) -> dict[str, Any] | None:
        """The first metric row of a trial; None before its first step."""
        return first_jsonl(self.layout.trial(key).metrics)

    def rows(self, key: str) -> list[dict[str, Any]]:
        """The metric rows of a trial, by step."""
        return list(read_jsonl(self.layout.trial(key).metrics))

    def scores(self, key: str) -> Scores:
        """Mean scores of a trial; empty before it is scored."""
        return read_scores(self.trial_folder(key))

    def baselines(self) -> dict[str, Scores]:
        """Mean scores of every baseline, by name, the undistilled student first."""
        names = [path.parent.name for path in self.layout.baselines.glob("*/scores.json")]
        names.sort(key=lambda name: (name != UNDISTILLED, name))
        return {name: read_scores(self.layout.baseline(name).path) for name in names}

    def failed_baselines(self) -> dict[str, str]:
        """The reason by name, of every baseline that could not be computed."""
        states = [read_json(path) for path in sorted(self.layout.baselines.glob("*/baseline.json"))]
        return {state["name"]: str(state.get("error")) for state in states if state["state"] == TrialState.FAIL}


def read_scores(folder: Path) -> Scores:
    """The content of ``scores.json`` in a trial's or a baseline's folder; empty if there is no such file."""
    path = ResultFolder(folder).scores
    value: Scores = read_json(path) if path.is_file() else {}
    return value
