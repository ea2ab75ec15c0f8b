"""A ``study.json`` for tests that need a ledger and no spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optical_ray.study.info import StudyInfo


def toy_info(**changes: Any) -> StudyInfo:
    """The info of a study with the targets sw and so; ``changes`` replace fields."""
    fields: dict[str, Any] = {
        "study_id": "0" * 32,
        "name": "toy",
        "created": 1.0,
        "experiment": {
            "data": {"collections": {target: {"kind": "trec", "language": target} for target in ("sw", "so")}},
            "trial": {},
            "evaluation": {"metrics": ["AP"]},
            "search": {"objective": "AP", "mode": "optimise"},
            "compute": {"keep": "all"},
            "tracking": [],
        },
        "targets": ("sw", "so"),
        "num_trials": 4,
    }
    return StudyInfo(**(fields | changes))


def write_toy_info(folder: Path, **changes: Any) -> None:
    """Write ``study.json`` into ``folder``."""
    toy_info(**changes).write(folder)
