"""The verb that hands a student over to another program."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path
from uuid import uuid4

from optical_ray.cli.terminal import console
from optical_ray.registry import members
from optical_ray.study.records import Ledger, TrialRecord, TrialState
from optical_ray.types import InputError


def find_trial(ledger: Ledger, key: str) -> TrialRecord:
    """The record of ``key``; raises ``InputError`` that names the nearest keys where there is none."""
    record = ledger.get(key)
    if record is not None:
        return record
    keys = [record.key for record in ledger.records]
    begins = [known for known in keys if key and known.startswith(key)]
    near = begins or difflib.get_close_matches(key, keys, n=3, cutoff=0.3) or keys[:3]
    raise InputError(
        f"trial {key!r}: {ledger.folder} has none of that key (nearest: {', '.join(near) or 'there is no trial yet'}); "
        f"optical-ray status {ledger.folder} --json lists them all"
    )


def student_folder(ledger: Ledger, key: str) -> Path:
    """Where the weights of trial ``key`` lie; raises ``InputError`` where there are none, and says why."""
    record = find_trial(ledger, key)
    folder = ledger.trial_folder(key) / "student"
    if (folder / "encoder.json").is_file():
        return folder
    keep = ledger.study["experiment"].get("compute", {}).get("keep", "all")
    if record.state is not TrialState.COMPLETE:
        raise InputError(f"trial {key}: is {record.state.value}, so it has no weights yet; run the study to its end")
    raise InputError(
        f"trial {key}: its weights were not kept (compute.keep: {keep}); set compute.keep: all and run that "
        "configuration in a new study"
    )


def export_student(study_dir: Path, key: str, destination: Path, kind: str) -> None:
    """Write trial ``key`` to ``destination`` in the layout ``kind``, with a model card, and say what differs there."""
    from optical_ray.export.card import model_card
    from optical_ray.export.interface import Format, Student

    formats = members("optical_ray.export", Format)  # type: ignore[type-abstract]
    if kind not in formats:
        raise InputError(f"--format {kind}: must be one of {', '.join(formats)}")
    ledger = Ledger.open(study_dir)
    source = student_folder(ledger, key)
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise InputError(f"{destination}: is there and not empty; give a new folder")
    exporter, student = formats[kind](), Student.open(source)
    destination.parent.mkdir(parents=True, exist_ok=True)
    beside = destination.with_name(f".{destination.name}.{uuid4().hex[:8]}")
    beside.mkdir()
    try:
        exporter.write(student, beside)
        card = model_card(ledger, find_trial(ledger, key), exporter, student)
        (beside / "README.md").write_text(card, encoding="utf-8")
        if destination.exists():
            destination.rmdir()
        beside.rename(destination)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    screen = console()
    screen.print(f"{kind} folder: {destination}", soft_wrap=True, markup=False)
    differences = exporter.differences(student)
    for text in differences:
        screen.print(f"note: {text}", soft_wrap=True, markup=False)
    if not differences:
        screen.print("scores there are equal to scores here")
