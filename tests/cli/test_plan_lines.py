"""What ``plan`` says of designs and of points that are there twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optical_ray.cli.plan_lines import plan_lines
from optical_ray.config.load import from_dict
from optical_ray.sweep.cluster import Capacity
from tests.tiny_study import spec

EPSILON, COST = "loss.sinkhorn.epsilon", "loss.cost"
BOTH = {"kind": "choice", "of": ["cosine", "squared_euclidean"]}


def said(word: str, space: dict[str, Any], search: dict[str, Any], tmp_path: Path) -> list[str]:
    raw = spec(tmp_path)
    raw["space"], raw["search"] = space, search
    lines = plan_lines(from_dict(raw), tmp_path / "study", Capacity(((2, 0),)))
    return [line.removeprefix(word).strip() for line in lines if line.startswith(word)]


def test_a_lattice_is_offered_smaller_designs_with_their_cost(tmp_path: Path) -> None:
    lattice = {"kind": "subset", "of": ["sw", "so", "de", "fr"]}
    estimate = {"mode": "estimate", "seeds": 3}
    path = "data.source_languages"
    assert said("design", {path: lattice}, estimate, tmp_path) == [
        f"{path}: 15 sets, 45 students; or {{design: leave_one_out}} with 9 sets, 27 students, "
        "or {design: orders, orders: 2} with 11 sets, 33 students"
    ]
    assert said("design", {path: {**lattice, "design": "leave_one_out"}}, estimate, tmp_path) == []
    assert said("design", {path: {"kind": "subset", "of": ["sw", "so"]}}, estimate, tmp_path) == [
        f"{path}: 3 sets, 9 students"
    ]
    pairs_only = {"kind": "subset", "of": ["sw", "so", "de", "fr", "mr"], "min_size": 2, "max_size": 2}
    assert said("design", {path: pairs_only}, estimate, tmp_path) == [
        f"{path}: 10 sets, 30 students; or {{design: orders, orders: 2}} with 4 sets, 12 students"
    ]
    assert said("trials", {path: {**lattice, "design": "leave_one_out"}}, estimate, tmp_path)[0].startswith(
        "9 configurations x 3 seeds"
    )


@pytest.mark.parametrize(
    ("epsilon", "search", "expected"),
    [
        ({"kind": "choice", "of": [0.05, 0.1, 0.2]}, {"mode": "estimate"}, "at e = 0.05 and 0.1;"),
        ({"kind": "choice", "of": [0.05, 0.3]}, {"mode": "estimate"}, None),
        ({"kind": "float", "low": 0.02, "high": 0.5, "log": True}, {"num_trials": 9}, "between e = 0.02 and 0.25;"),
        ({"kind": "float", "low": 0.2, "high": 0.3, "log": True}, {"num_trials": 9}, None),
    ],
)
def test_one_problem_under_two_names_is_said(
    epsilon: dict[str, Any], search: dict[str, Any], expected: str | None, tmp_path: Path
) -> None:
    lines = said("duplicates", {EPSILON: epsilon, COST: BOTH}, search, tmp_path)
    assert (expected is None and not lines) or expected in lines[0]
    assert not said("duplicates", {EPSILON: epsilon}, search, tmp_path)


def test_only_one_problem_is_one_problem(tmp_path: Path) -> None:
    """Another tau, or other marginals, make another problem of it."""
    transport: dict[str, Any] = {"kind": "optimal_transport"}
    both = [
        {**transport, "sinkhorn": {"epsilon": 0.1, "tau": 1.0}},
        {**transport, "cost": "squared_euclidean", "sinkhorn": {"epsilon": 0.2, "tau": 1.0}},
        {**transport, "cost": "squared_euclidean", "marginals": "norm", "sinkhorn": {"epsilon": 0.2}},
    ]
    space = {"loss": {"kind": "choice", "of": both}}
    assert not said("duplicates", space, {"mode": "estimate"}, tmp_path)
    both[1]["sinkhorn"]["tau"] = 2.0
    assert "at e = 0.1;" in said("duplicates", space, {"mode": "estimate"}, tmp_path)[0]


def test_controls_are_counted(tmp_path: Path) -> None:
    raw = spec(tmp_path)
    raw["baselines"], raw["search"] = (
        {"en": None, "shuffled": None, "teacher_english": None},
        {"num_trials": 2, "seeds": 3},
    )
    raw["search"]["start_with"] = []
    lines = plan_lines(from_dict(raw), tmp_path / "study", Capacity(((2, 0),)))
    assert "controls     en, shuffled: 6 students beside them" in lines
