"""Settings with the same alignment problem: single points, ranges, sums, large spaces, every solver."""

from __future__ import annotations

from typing import Any

import pytest

from optical_ray.config.duplicate_points import Duplicate, duplicate_points
from optical_ray.config.load import from_dict

EPSILON, COST = "loss.solver.epsilon", "loss.cost"
BOTH = {"kind": "choice", "of": ["cosine", "squared_euclidean"]}
ESTIMATE = {"mode": "estimate"}


def duplicates(raw: dict[str, Any], space: dict[str, Any], search: dict[str, Any] = ESTIMATE) -> list[Duplicate]:
    return list(duplicate_points(from_dict({**raw, "space": space, "search": search})))


def choice(*values: Any) -> dict[str, Any]:
    return {"kind": "choice", "of": list(values)}


def transport(cost: str, epsilon: float, **changes: Any) -> dict[str, Any]:
    solver = {"kind": "sinkhorn", "epsilon": epsilon, **changes}
    return {"kind": "optimal_transport", "cost": cost, "solver": solver}


def test_squared_euclidean_at_twice_the_epsilon_is_cosine(raw: dict[str, Any]) -> None:
    (pair,) = duplicates(raw, {EPSILON: choice(0.1, 0.2), COST: BOTH})
    assert pair.first == {EPSILON: 0.1, COST: "cosine"}
    assert pair.second == {EPSILON: 0.2, COST: "squared_euclidean"}
    assert not duplicates(raw, {EPSILON: choice(0.1, 0.3), COST: BOTH})


def test_a_continuous_search_is_compared_by_its_ranges(raw: dict[str, Any]) -> None:
    epsilon = {"kind": "float", "low": 0.02, "high": 0.5, "log": True}
    (pair,) = duplicates(raw, {EPSILON: epsilon, COST: BOTH}, {"num_trials": 9})
    assert pair.first == {EPSILON: (0.02, 0.5), COST: "cosine"}
    assert pair.ranges == {"solver.epsilon": (0.02, 0.25)}
    assert not duplicates(raw, {EPSILON: {**epsilon, "low": 0.3}, COST: BOTH}, {"num_trials": 9})
    assert not duplicates(raw, {EPSILON: epsilon}, {"num_trials": 9})


def test_other_penalties_and_marginals_are_other_problems(raw: dict[str, Any]) -> None:
    first = transport("cosine", 0.1, tau=1.0)
    assert not duplicates(raw, {"loss": choice(first, transport("squared_euclidean", 0.2, tau=1.0))})
    assert not duplicates(raw, {"loss": choice(first, {**transport("squared_euclidean", 0.2), "marginals": "norm"})})
    assert len(duplicates(raw, {"loss": choice(first, transport("squared_euclidean", 0.2, tau=2.0))})) == 1


def test_terms_of_a_sum_are_compared_with_their_weights(raw: dict[str, Any]) -> None:
    parameters = (("cosine", 0.1, 1.0), ("squared_euclidean", 0.2, 0.5), ("cosine", 0.1, 0.5))
    terms = [{"loss": transport(cost, epsilon), "weight": weight} for cost, epsilon, weight in parameters]
    sums = [{"kind": "sum", "terms": [term, {"loss": {"kind": "greedy"}}]} for term in terms]
    assert len(duplicates(raw, {"loss": choice(*sums[:2])})) == 1
    assert not duplicates(raw, {"loss": choice(*sums[1:])})  # the greedy term has twice the relative weight
    reordered = {"kind": "sum", "terms": sums[0]["terms"][::-1]}
    assert len(duplicates(raw, {"loss": choice(sums[0], reordered)})) == 1


def test_dimensions_outside_of_the_loss_are_ignored(raw: dict[str, Any]) -> None:
    space = {
        "optimizer.learning_rate": choice(*(rate * 1e-5 for rate in range(1, 21))),
        "optimizer.steps": choice(*range(8, 28)),
        "optimizer.clip": choice(*(float(clip) for clip in range(1, 21))),
    }
    assert len(duplicates(raw, {**space, EPSILON: choice(0.1, 0.2), COST: BOTH}, {"num_trials": 4})) == 1


def test_a_space_with_many_points_is_compared_at_its_corners(raw: dict[str, Any]) -> None:
    """Corners of different dimensions that meet at the default are not duplicates."""
    space = {
        EPSILON: choice(*(number / 1000 for number in range(100, 200))),
        "loss.solver.max_iterations": choice(*range(50, 100)),
        COST: BOTH,
    }
    assert not duplicates(raw, space, {"num_trials": 4})


@pytest.mark.parametrize(
    ("loss", "path"),
    [
        ({"kind": "softmax"}, "temperature"),
        ({"kind": "optimal_transport", "solver": {"kind": "ipot"}}, "solver.beta"),
    ],
)
def test_every_regularisation_scales_with_the_cost(raw: dict[str, Any], loss: dict[str, Any], path: str) -> None:
    changed = {**raw, "trial": {**raw["trial"], "loss": loss}}
    assert len(duplicates(changed, {f"loss.{path}": choice(0.1, 0.2), COST: BOTH})) == 1
    assert not duplicates(changed, {f"loss.{path}": choice(0.1, 0.3), COST: BOTH})


def test_exact_plans_do_not_depend_on_the_scale_of_the_cost(raw: dict[str, Any]) -> None:
    solvers = choice({"kind": "sinkhorn"}, {"kind": "exact"})
    assert not duplicates(raw, {"loss.solver": solvers})
    (pair,) = duplicates(raw, {"loss.solver": solvers, COST: BOTH})
    assert pair.first == {"loss.solver": "exact", COST: "cosine"}
