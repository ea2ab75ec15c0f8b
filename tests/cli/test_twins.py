"""One problem under two names: in a sum, in large spaces, for every solver, and by what a solver does not heed."""

from __future__ import annotations

from typing import Any

import pytest

from optical_ray.cli.twins import twins
from optical_ray.config.load import from_dict
from tests.tiny_study import spec, write_data

BOTH = {"kind": "choice", "of": ["cosine", "squared_euclidean"]}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return spec(write_data(tmp_path_factory.mktemp("data") / "tiny"))


def said(raw: dict[str, Any], space: dict[str, Any], search: dict[str, Any] | None = None) -> list[str]:
    return list(twins(from_dict({**raw, "space": space, "search": search or {"mode": "estimate"}})))


def choice(*values: Any) -> dict[str, Any]:
    return {"kind": "choice", "of": list(values)}


def test_inside_of_a_sum(raw: dict[str, Any]) -> None:
    terms = [
        {"loss": {"kind": "optimal_transport", "cost": cost, "sinkhorn": {"epsilon": epsilon}}, "weight": weight}
        for cost, epsilon, weight in (("cosine", 0.1, 1.0), ("squared_euclidean", 0.2, 0.5), ("cosine", 0.1, 0.5))
    ]
    sums = [{"kind": "sum", "terms": [term, {"loss": {"kind": "greedy"}}]} for term in terms]
    assert "at e = 0.1;" in said(raw, {"loss": choice(*sums[:2])})[0]
    assert not said(raw, {"loss": choice(*sums[1:])})  # the greedy term weighs twice as much beside it


def test_in_a_space_of_many_corners(raw: dict[str, Any]) -> None:
    space = {f"optimizer.{name}": choice(*values) for name, values in LARGE.items()}
    space |= {"loss.sinkhorn.epsilon": choice(0.1, 0.2), "loss.cost": BOTH}
    assert "at e = 0.1;" in said(raw, space, {"num_trials": 4})[0]


LARGE = {
    "learning_rate": [rate * 1e-5 for rate in range(1, 21)],
    "steps": list(range(8, 28)),
    "clip": [float(clip) for clip in range(1, 21)],
}


@pytest.mark.parametrize(
    ("loss", "path"),
    [({"kind": "softmax"}, "temperature"), ({"kind": "optimal_transport", "solver": "ipot"}, "ipot.beta")],
)
def test_other_alignments(raw: dict[str, Any], loss: dict[str, Any], path: str) -> None:
    trial = {**raw["trial"], "loss": loss}
    space = {f"loss.{path}": choice(0.1, 0.2), "loss.cost": BOTH}
    assert "at e = 0.1;" in said({**raw, "trial": trial}, space)[0]
    assert not said({**raw, "trial": trial}, {f"loss.{path}": choice(0.1, 0.3), "loss.cost": BOTH})


def test_what_a_solver_does_not_heed(raw: dict[str, Any]) -> None:
    solvers = choice("sinkhorn", "ipot", "exact")
    (line,) = said(raw, {"loss.solver": solvers, "loss.sinkhorn.epsilon": choice(0.1, 0.2)})
    assert line.startswith("6 losses of the space are 4 problems")
    (line,) = said(raw, {"loss.solver": choice("exact"), "loss.cost": BOTH})
    assert line.startswith("2 losses of the space are 1 problems")
    assert not said(raw, {"loss.solver": choice("sinkhorn", "exact")})
