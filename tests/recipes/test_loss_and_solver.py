"""The recipes of a loss and a solver fulfil their contracts, and a spec can name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipes.overlay import RECIPES, run_contract, run_with_recipe

LOSS = ("loss.py", "optical_ray.losses", "test_losses.py", "mean_pooled")
SOLVER = ("solver.py", "optical_ray.ot.solvers", "test_solvers.py", "independent")

SPECS = {
    "loss.py": "trial.loss={kind: mean_pooled, scale: 2.0}",
    "solver.py": "trial.loss={kind: optimal_transport, solver: {kind: independent}}",
}
LOAD = """
import sys
from pathlib import Path
from optical_ray.config.load import load
settings = [sys.argv[1], "space={}", "search.start_with=[]"]
print(load(Path("experiments/quickstart.yaml"), settings).trial.loss)
"""


@pytest.mark.parametrize("recipe", ["loss.py", "solver.py"])
def test_a_recipe_is_short(recipe: str) -> None:
    assert len((RECIPES / recipe).read_text(encoding="utf-8").splitlines()) < 40


@pytest.mark.parametrize(("recipe", "package", "contract", "kind"), [LOSS, SOLVER], ids=["loss", "solver"])
def test_a_recipe_fulfils_the_contract(recipe: str, package: str, contract: str, kind: str, tmp_path: Path) -> None:
    assert run_contract(recipe, package, contract, kind, tmp_path) >= 8


def test_a_new_solver_fulfils_the_contract_of_the_loss(tmp_path: Path) -> None:
    assert run_contract("solver.py", "optical_ray.ot.solvers", "test_losses.py", "independent", tmp_path) >= 8


@pytest.mark.parametrize(("recipe", "package", "kind"), [(*LOSS[:2], LOSS[3]), (*SOLVER[:2], SOLVER[3])])
def test_a_spec_names_the_new_kind(recipe: str, package: str, kind: str, tmp_path: Path) -> None:
    result = run_with_recipe(recipe, package, ["-c", LOAD, SPECS[recipe]], tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"kind='{kind}'" in result.stdout
