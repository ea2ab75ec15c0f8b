"""Widths that only a checkpoint's files state: teacher and student must have the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.trial import TrialConfig
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.checkpoints import local_encoders
from optical_ray.types import InputError
from tests.encoders.checkpoints import write_xlmr
from tests.prepare.conftest import Make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_xlmr(tmp_path / "xlmr")


def trial(make: Make, folder: Path, init: dict[str, Any]) -> TrialConfig:
    teacher = {"kind": "pretrained", "checkpoint": str(folder), "dim": 8}
    student = {"init": {"kind": "pretrained", **init}}
    return make({"trial.teacher": teacher, "trial.teacher_training": None, "trial.student": student}).trial


@pytest.mark.parametrize("place", ["uri", "hub"])
def test_widths_that_only_the_files_state_are_compared(
    make: Make, folder: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PretrainedEncoder, "_download", lambda encoder: folder)
    checkpoint = f"file://{folder}" if place == "uri" else "someone/a-model"
    cache = Cache(tmp_path / "cache")
    with pytest.raises(InputError, match=r"^trial\.student\.init\.dim: .* have 24 numbers, the teacher's 8; set"):
        local_encoders(trial(make, folder, {"checkpoint": checkpoint}), cache)
    teacher, init = local_encoders(trial(make, folder, {"checkpoint": checkpoint, "dim": 8}), cache)
    assert (teacher.width(), init.dim) == (8, 8)  # type: ignore[attr-defined]


def test_incomplete_files_are_reported_with_the_field(make: Make, folder: Path, tmp_path: Path) -> None:
    asked = trial(make, folder, {"checkpoint": f"file://{folder}", "dim": 8, "layers": 9})
    with pytest.raises(InputError, match=r"^trial\.student\.init\.layers: the checkpoint has 1 layers \(got 9\)"):
        local_encoders(asked, Cache(tmp_path / "cache"))


def test_a_student_that_starts_as_its_teacher_is_the_same_encoder(make: Make, tmp_path: Path) -> None:
    teacher, init = local_encoders(make().trial, Cache(tmp_path / "cache"))
    assert teacher is init
