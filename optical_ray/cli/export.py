"""The verb ``export``: write a trial's student as a model folder of another program."""

from __future__ import annotations

from pathlib import Path

from optical_ray.cli.terminal import console
from optical_ray.export.folder import export_trial
from optical_ray.study.records import Ledger


def export_student(study_dir: Path, key: str, destination: Path, kind: str) -> None:
    """Write the student of trial ``key`` to ``destination`` in the format ``kind``, and print where scores differ."""
    differences = export_trial(Ledger.open(study_dir), key, destination, kind)
    screen = console()
    screen.print(f"{kind} folder: {destination}", soft_wrap=True, markup=False)
    for text in differences or ("scores are equal in both programs",):
        screen.print(f"note: {text}", soft_wrap=True, markup=False)
