"""Teacher and student must make vectors of one width, and a spec says so before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.load import trial_from_dict
from optical_ray.types import InputError
from tests.encoders.checkpoints import write_xlmr


def raw(teacher: dict[str, Any], init: dict[str, Any] | str = "teacher") -> dict[str, Any]:
    data = {"bitext": ["made"], "source_languages": ["de"]}
    return {"teacher": {"kind": "pretrained", **teacher}, "student": {"init": init}, "data": data}


def test_widths_that_differ_name_the_field_to_change(tmp_path: Path) -> None:
    folder = str(write_xlmr(tmp_path / "xlmr"))
    student = {"kind": "pretrained", "checkpoint": folder}
    trial_from_dict(raw({"checkpoint": folder, "dim": 8}, {**student, "dim": 8}))
    with pytest.raises(InputError) as caught:
        trial_from_dict(raw({"checkpoint": folder, "dim": 8}, student))
    assert str(caught.value).startswith(
        "student.init.dim: the student's vectors have 24 numbers, the teacher's 8; set "
    )
    assert "student.init.dim: 8" in str(caught.value)


def test_a_name_on_the_hub_is_not_downloaded_to_find_out() -> None:
    trial_from_dict(raw({"checkpoint": "nobody/such-a-model", "dim": 8}, {"kind": "pretrained", "checkpoint": "a/b"}))


def test_a_folder_that_cannot_be_read_is_refused_with_its_field(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match=r"^teacher\.checkpoint '.*': unknown layout"):
        trial_from_dict(raw({"checkpoint": str(tmp_path)}))
    folder = str(write_xlmr(tmp_path / "xlmr"))
    with pytest.raises(InputError, match=r"^student\.init\.checkpoint '.*': unknown layout"):
        trial_from_dict(raw({"checkpoint": folder}, {"kind": "pretrained", "checkpoint": str(tmp_path)}))
