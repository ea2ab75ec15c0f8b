"""How a launch tells its caller what it does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optical_ray.study.info import StudyInfo
from optical_ray.study.records import Ledger


class Observer:
    """Base of observers; each method does nothing by default. All are called in the launcher's main thread."""

    def on_stage(self, stage: str) -> None:
        """The launch enters the stage with this description."""

    def on_data(self, report: Mapping[str, Any]) -> None:
        """The data is read; ``report`` counts what was kept and dropped."""

    def on_open(self, ledger: Ledger, info: StudyInfo) -> None:
        """The study is open; from now on ``ledger`` shows its trials."""

    def on_scored(self, folder: Path) -> None:
        """Every trial and baseline in the study's ``folder`` is scored; trackers are closed after this call."""
