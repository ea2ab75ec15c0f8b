"""Finds the weights of a trial's student."""

from __future__ import annotations

from pathlib import Path

from optical_ray.encoders.checkpoint_files import has_checkpoint
from optical_ray.study.layout import StudyFolder
from optical_ray.study.records import Ledger, TrialState
from optical_ray.types import InputError


def student_folder(ledger: Ledger, key: str) -> Path:
    """The folder with the weights of trial ``key``.

    Raises ``InputError`` if the trial is unknown or not complete, or if its weights were not kept.
    """
    record = ledger.find(key)
    folder = StudyFolder(ledger.folder).trial(key).student
    if has_checkpoint(folder):
        return folder
    if record.state is not TrialState.COMPLETE:
        raise InputError(
            f"trial {key}: no weights (got state {record.state.value}, expected {TrialState.COMPLETE.value}). "
            "Run the study to its end."
        )
    raise InputError(
        f"trial {key}: its weights were not kept (compute.keep: {ledger.info.kept_weights}). "
        "Set compute.keep: all and run this configuration in a new study."
    )
