"""A tracker that appends every complete trial to a CSV file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from optical_ray.study.records import Ledger, TrialRecord, TrialState
from optical_ray.tracking.interface import Tracker, TrackerConfig


@dataclass(frozen=True)
class CsvConfig(TrackerConfig):
    """Rows of key, source languages and number of steps; ``file`` is relative to the study's folder."""

    kind: Literal["csv"] = "csv"
    file: str = "complete.csv"

    def open(self, study_folder: Path) -> Tracker:
        return CsvTracker(study_folder, study_folder / self.file)


class CsvTracker(Tracker):
    def __init__(self, study_folder: Path, path: Path) -> None:
        self.study_folder, self.path = study_folder, path

    def sync(self) -> None:
        rows = [(record.key, "+".join(record.source_languages), record.steps) for record in self._missing()]
        with open(self.path, "a", newline="") as stream:
            csv.writer(stream).writerows(rows)

    def close(self, timeout: float) -> None:
        self.sync()

    def behind(self) -> tuple[str, ...]:
        return tuple(record.key for record in self._missing())

    def _missing(self) -> list[TrialRecord]:
        written = self.path.read_text().splitlines() if self.path.is_file() else []
        keys = {row[0] for row in csv.reader(written)}
        records = Ledger.open(self.study_folder).records
        return [record for record in records if record.state is TrialState.COMPLETE and record.key not in keys]
