"""The verb ``export``: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from optical_ray.cli.exporting import export_student
from optical_ray.types import InputError
from tests.cli.conftest import KEY


def test_it_writes_a_folder_with_a_card(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_student(study, KEY, tmp_path / "out" / "model", "hf")
    said = capsys.readouterr().out
    assert "scores there are equal to scores here" in said
    card = (tmp_path / "out" / "model" / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---")[1])
    assert header["language"] == ["de", "en", "so", "sw"]
    assert "| AP | sw | so |" in card
    assert "| this student | 0.2500 | 0.5000 |" in card
    assert "bitext made: CC0-1.0" in card
    assert "made: ab12" in card
    assert "kind: optimal_transport" in card
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]


def test_what_differs_there_is_said(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_student(study, KEY, tmp_path / "model", "pylate")
    said = capsys.readouterr().out
    assert "note: the vectors of a query's sentence ends and marker count in PyLate" in said
    assert "support: pieces" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", ["0123456789ac", "0123", "", "zzz"])
def test_a_key_that_is_not_there_names_the_nearest(study: Path, tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=rf"none of that key \(nearest: .*{KEY}"):
        export_student(study, key, tmp_path / "model", "pylate")


def test_weights_that_were_not_kept_and_trials_that_did_not_end_are_told_apart(study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is WAITING, so it has no weights yet"):
        export_student(study, "ffff00001111", tmp_path / "model", "pylate")
    shutil.rmtree(study / "trials" / KEY / "student")
    with pytest.raises(InputError, match=r"were not kept \(compute.keep: best\)"):
        export_student(study, KEY, tmp_path / "model", "pylate")


def test_nothing_is_overwritten(study: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        export_student(study, KEY, tmp_path / "model", "pylate")
    with pytest.raises(InputError, match="--format onnx: must be one of colbert, hf, pylate"):
        export_student(study, KEY, tmp_path / "other", "onnx")
    assert not (tmp_path / "other").exists()
