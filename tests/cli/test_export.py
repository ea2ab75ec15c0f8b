"""The verb ``export``: what it writes, what it prints, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from optical_ray.cli.export import command as export
from optical_ray.types import InputError
from tests.cli.conftest import KEY


def test_it_writes_a_folder_with_a_card(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(study, KEY, tmp_path / "out" / "model", "hf")
    printed = capsys.readouterr().out
    assert "scores are equal in both programs" in printed
    card = (tmp_path / "out" / "model" / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---")[1])
    assert header["language"] == ["de", "en", "so", "sw"]
    assert "| AP | sw | so |" in card
    assert "| this student | 0.2500 | 0.5000 |" in card
    assert "bitext made: CC0-1.0" in card
    assert "made: ab12" in card
    assert "kind: optimal_transport" in card
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]


def test_differences_of_scores_are_printed(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(study, KEY, tmp_path / "model", "pylate")
    printed = capsys.readouterr().out
    assert "note: PyLate uses the vectors of a query's sentence ends and marker" in printed
    assert "support: pieces" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", ["0123456789ac", "0123", "", "zzz"])
def test_an_unknown_key_is_refused_with_the_nearest_keys(study: Path, tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=rf"not in .* \(nearest keys: .*{KEY}"):
        export(study, key, tmp_path / "model", "pylate")


def test_deleted_weights_and_unfinished_trials_have_different_messages(study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no weights \(got state WAITING, expected COMPLETE"):
        export(study, "ffff00001111", tmp_path / "model", "pylate")
    shutil.rmtree(study / "trials" / KEY / "student")
    with pytest.raises(InputError, match=r"were not kept \(compute.keep: best\)"):
        export(study, KEY, tmp_path / "model", "pylate")


def test_an_existing_folder_is_not_overwritten(study: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        export(study, KEY, tmp_path / "model", "pylate")
    with pytest.raises(InputError, match=r"--format: unknown format \(got onnx, expected one of colbert, hf, pylate"):
        export(study, KEY, tmp_path / "other", "onnx")
    assert not (tmp_path / "other").exists()
