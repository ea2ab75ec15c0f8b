"""A data set and a metric are one file each: the recipes are added to their rooms without editing anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parent
ROOT = RECIPES.parents[1]

RUN = """
import importlib, sys
package, folder, *arguments = sys.argv[1:]
importlib.import_module(package).__path__.append(folder)
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *arguments]))
"""

LOAD = """
import sys
from pathlib import Path
import optical_ray.data.datasets, optical_ray.metrics
optical_ray.data.datasets.__path__.append(sys.argv[1])
optical_ray.metrics.__path__.append(sys.argv[2])
from optical_ray.config.load import load
experiment = load(Path(sys.argv[3]))
print(experiment.data.bitext["pairs"].languages(), experiment.search.objective)
"""


def room_with(recipe: str, folder: Path) -> Path:
    """A folder that holds only the recipe, to be found as a part of its room."""
    folder.mkdir()
    shutil.copy(RECIPES / f"{recipe}.py", folder / f"{recipe}_recipe.py")
    return folder


def python(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("recipe", "package", "suite", "kind"),
    [
        ("dataset", "optical_ray.data.datasets", "tests/contracts/test_datasets.py", "bitext-csv"),
        ("metric", "optical_ray.metrics", "tests/contracts/test_metrics.py", "Bpref"),
    ],
)
def test_the_contract_suite_runs_over_a_recipe(
    recipe: str, package: str, suite: str, kind: str, tmp_path: Path
) -> None:
    room = room_with(recipe, tmp_path / recipe)
    output = python(RUN, package, str(room), suite, "-k", kind)
    assert " passed" in output
    assert "failed" not in output


def test_a_spec_can_name_the_recipes(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("id,en,sw,so\n1,good morning,habari,subax wanaagsan\n")
    spec = (ROOT / "experiments" / "quickstart.yaml").read_text()
    spec = spec.replace("{kind: cldr_annotations} ", f"{{kind: csv, path: {tmp_path / 'pairs.csv'}}} ", 1)
    spec = spec.replace("cldr: {", "pairs: {").replace("bitext: [cldr]", "bitext: [pairs]")
    spec = spec.replace("of: [de, fr, hi, mr, so, sw], max_size: 3", "of: [so, sw], max_size: 2")
    spec = spec.replace("objective: AP", "objective: Bpref").partition("  start_with:")[0]
    spec = spec.replace("every: 150", "every: 150, metrics: [Bpref, AP]")
    (tmp_path / "study.yaml").write_text(spec)
    rooms = (str(room_with(recipe, tmp_path / recipe)) for recipe in ("dataset", "metric"))
    assert python(LOAD, *rooms, str(tmp_path / "study.yaml")) == "('so', 'sw') Bpref\n"
