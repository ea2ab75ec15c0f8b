"""The recipe of a verb: ``optical-ray`` has it after its file is added, with help and arguments."""

from __future__ import annotations

from pathlib import Path

from tests.recipes.overlay import RECIPES, run_with_recipe
from tests.tracking.written_study import write_study

PACKAGE = "optical_ray.cli"


def test_the_recipe_is_short() -> None:
    assert len((RECIPES / "verb.py").read_text(encoding="utf-8").splitlines()) < 20


def test_help_lists_the_new_verb(tmp_path: Path) -> None:
    result = run_with_recipe("verb.py", PACKAGE, ["-m", "optical_ray", "--help"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "recipe_verb" in result.stdout
    assert "Print the key and the state of each trial." in result.stdout


def test_the_new_verb_runs(tmp_path: Path) -> None:
    ledger = write_study(tmp_path / "small")
    arguments = ["-m", "optical_ray", "recipe_verb", str(ledger.folder)]
    result = run_with_recipe("verb.py", PACKAGE, arguments, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [f"{record.key} {record.state.value}" for record in ledger.records]
