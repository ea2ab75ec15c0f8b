"""The public names of ``optical_ray``: frozen, loaded when they are first used, and working."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import optical_ray
from optical_ray.config.load import load

SIGNATURES = {
    "load_study": "(folder: 'Path | str', metric: 'str | None' = None) -> 'Study'",
    "run_study": (
        "(spec: 'Path | str | Experiment', *, storage: 'Path | str' = 'runs', address: 'str' = 'auto', "
        "settings: 'Sequence[str]' = ()) -> 'StudyResult'"
    ),
    "significance": (
        "(scores: 'Mapping[str, Scores]', groups: 'Mapping[str, str] | Sequence[str] | None' = None, *, "
        "num_resamples: 'int' = 99999) -> 'tuple[Pair, ...]'"
    ),
    "sinkhorn": (
        "(cost: 'Array', a: 'Array | None' = None, b: 'Array | None' = None, *, epsilon: 'float' = 0.1, "
        "max_iterations: 'int' = 1000, threshold: 'float' = 1e-05, tau: 'float | None' = None) -> 'EntropicTransport'"
    ),
}
HEAVY = ("torch", "ray", "transformers", "mlflow", "optuna", "numpy", "pydantic")


def test_the_names_are_frozen() -> None:
    assert optical_ray.__all__ == ["__version__", *sorted(SIGNATURES)]
    assert set(optical_ray.__all__) <= set(dir(optical_ray))


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_frozen(name: str) -> None:
    assert str(inspect.signature(getattr(optical_ray, name))) == SIGNATURES[name]


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_public_name_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(optical_ray, name))


def test_the_version_is_a_version() -> None:
    assert optical_ray.__version__[0].isdigit()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sinkhorm'"):
        optical_ray.sinkhorm  # noqa: B018 - the access is the test


def test_importing_the_package_loads_no_large_library() -> None:
    program = f"import sys, optical_ray; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_sinkhorn_solves_a_small_problem() -> None:
    cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    plan = optical_ray.sinkhorn(cost, epsilon=0.1).plan
    torch.testing.assert_close(plan.sum(1), torch.full((2,), 0.5))
    assert float(plan.diagonal().sum()) > 0.99


def test_significance_compares_every_pair() -> None:
    base = np.random.default_rng(1).uniform(0.2, 0.6, 50)
    pairs = optical_ray.significance({"a": base, "b": base + 0.1, "c": base})
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert pairs[0].p_holm < 0.01
    assert pairs[1].p_holm == 1.0


def test_run_study_names_the_spec_that_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.yaml"):
        optical_ray.run_study(tmp_path / "absent.yaml", storage=tmp_path)


def test_run_study_does_not_change_an_experiment() -> None:
    experiment = load(Path(__file__).parents[1] / "experiments" / "quickstart.yaml")
    with pytest.raises(ValueError, match="settings"):
        optical_ray.run_study(experiment, settings=["search.num_trials=2"])
