"""Writes a trial's student as a model folder of another program."""

from __future__ import annotations

from pathlib import Path

from optical_ray.export.card import model_card
from optical_ray.export.interface import Format, Student
from optical_ray.export.students import student_folder
from optical_ray.registry import members
from optical_ray.study.files import replace_folder
from optical_ray.study.records import Ledger
from optical_ray.types import InputError


def export_trial(ledger: Ledger, key: str, destination: Path, kind: str) -> tuple[str, ...]:
    """Write the student of trial ``key`` to ``destination`` in the format ``kind``, together with a model card.

    The result lists what the other program scores differently; empty if scores are equal. After an error
    ``destination`` is unchanged. Raises ``InputError`` if the format or the trial is unknown, if the student's weights
    were not kept, if ``destination`` is not empty, or if the format cannot represent the student.
    """
    formats = members("optical_ray.export", Format)  # type: ignore[type-abstract]
    if kind not in formats:
        raise InputError(f"--format: unknown format (got {kind}, expected one of {', '.join(formats)})")
    source = student_folder(ledger, key)
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise InputError(f"{destination}: not an empty folder. Give a new folder.")
    exporter, student = formats[kind](), Student.open(source)
    with replace_folder(destination) as folder:
        exporter.write(student, folder)
        card = model_card(ledger, ledger.find(key), exporter, student)
        (folder / "README.md").write_text(card, encoding="utf-8")
    return exporter.differences(student)
