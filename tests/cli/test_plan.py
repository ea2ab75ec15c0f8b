"""What ``plan`` says of designs and of points that are there twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optical_ray.cli.screen.plan_lines import plan_lines
from optical_ray.config.load import from_dict
from optical_ray.sweep.cluster import Capacity
from tests.tiny_study import spec

EPSILON, COST = "loss.solver.epsilon", "loss.cost"
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


def test_duplicate_points_are_printed(tmp_path: Path) -> None:
    epsilon = {"kind": "choice", "of": [0.05, 0.1, 0.2]}
    lines = said("duplicates", {EPSILON: epsilon, COST: BOTH}, {"mode": "estimate"}, tmp_path)
    assert lines == [
        f"{{{EPSILON}: {value}, {COST}: cosine}} and {{{EPSILON}: {2 * value}, {COST}: squared_euclidean}} "
        "are the same alignment problem. Remove one of them."
        for value in (0.05, 0.1)
    ]
    assert not said("duplicates", {EPSILON: epsilon}, {"mode": "estimate"}, tmp_path)


def test_duplicate_ranges_are_printed(tmp_path: Path) -> None:
    epsilon = {"kind": "float", "low": 0.02, "high": 0.5, "log": True}
    (line,) = said("duplicates", {EPSILON: epsilon, COST: BOTH}, {"num_trials": 9}, tmp_path)
    assert line.endswith("are the same alignment problem, solver.epsilon 0.02 to 0.25. Remove one of them.")
    assert f"{{{EPSILON}: 0.02..0.5, {COST}: cosine}}" in line


def test_only_the_first_duplicates_are_printed(tmp_path: Path) -> None:
    epsilon = {"kind": "choice", "of": [2.0**power for power in range(-8, 0)]}
    lines = said("duplicates", {EPSILON: epsilon, COST: BOTH}, {"mode": "estimate"}, tmp_path)
    assert len(lines) == 5
    assert lines[-1] == "... and 3 more pairs"


def test_controls_are_counted(tmp_path: Path) -> None:
    raw = spec(tmp_path)
    raw["baselines"], raw["search"] = (
        {"en": None, "shuffled": None, "teacher_english": None},
        {"num_trials": 2, "seeds": 3},
    )
    raw["search"]["start_with"] = []
    lines = plan_lines(from_dict(raw), tmp_path / "study", Capacity(((2, 0),)))
    assert "controls     en, shuffled: 6 additional students" in lines
