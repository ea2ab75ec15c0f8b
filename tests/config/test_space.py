"""Dimensions: their extremes, their designs, and the labels that sets of languages and blocks travel as."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from optical_ray.config.key import canonical
from optical_ray.config.load import from_dict
from optical_ray.config.space import Choice, Float, Int, Subset, active, corners, dimensions, grid
from optical_ray.types import InputError

LANGUAGES = ("sw", "de", "hi", "mr")


@given(
    of=st.permutations(LANGUAGES).flatmap(lambda names: st.integers(1, 4).map(lambda n: tuple(names[:n]))),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_a_subset_has_every_set_of_its_sizes_once_and_small_ones_first(
    of: tuple[str, ...], sizes: tuple[int, int]
) -> None:
    low, high = min(*sizes, len(of)), max(sizes)
    labels = Subset(of=of, min_size=low, max_size=high).grid()
    masks = [[name for index, name in enumerate(of) if mask >> index & 1] for mask in range(1, 2 ** len(of))]
    assert {frozenset(str(label).split("+")) for label in labels} == {
        frozenset(names) for names in masks if low <= len(names) <= high
    }
    assert len(set(labels)) == len(labels)
    counts = [str(label).count("+") for label in labels]
    assert counts == sorted(counts)
    assert all(str(label) == "+".join(sorted(str(label).split("+"))) for label in labels)


@pytest.mark.parametrize("sizes", [{}, {"min_size": 2}, {"min_size": 2, "max_size": 3}, {"max_size": 1}])
def test_the_corners_of_a_subset_name_every_language_and_have_its_extreme_sizes(sizes: dict[str, int]) -> None:
    subset = Subset(of=LANGUAGES, **sizes)  # type: ignore[arg-type]
    sets = [str(label).split("+") for label in subset.corners()]
    assert {name for names in sets for name in names} == set(LANGUAGES)
    assert {len(names) for names in sets} == {sizes.get("min_size", 1), sizes.get("max_size", len(LANGUAGES))}
    assert set(subset.corners()) <= set(subset.grid())


def test_a_float_takes_evenly_spaced_points_from_end_to_end() -> None:
    assert Float(low=0.0, high=1.0, points=5).grid() == [0, 0.25, 0.5, 0.75, 1.0]
    assert Float(low=0.01, high=1.0, log=True, points=3).grid() == [0.01, 0.1, 1.0]
    assert Float(low=0.3, high=0.9, points=1).grid() == [0.3]
    assert Float(low=0.3, high=0.9).corners() == [0.3, 0.9]
    assert Float(low=0.3, high=0.3).corners() == [0.3]


@given(ends=st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)), points=st.integers(2, 6), log=st.booleans())
def test_no_point_of_a_design_lies_outside_of_its_range(ends: tuple[float, float], points: int, log: bool) -> None:
    dimension = Float(low=min(ends), high=max(ends), points=points, log=log)
    values = dimension.grid()
    assert values[0] == dimension.low
    assert values[-1] == dimension.high
    assert all(dimension.low <= float(value) <= dimension.high for value in values)


def test_an_int_takes_every_step() -> None:
    assert Int(low=2, high=9, step=3).grid() == [2, 5, 8]
    assert Int(low=2, high=3).corners() == [2, 3]


def test_blocks_travel_by_their_kind_or_as_json_and_come_back() -> None:
    blocks: tuple[Any, ...] = ({"kind": "greedy"}, {"kind": "sum", "a": 2}, {"kind": "sum", "a": 1}, None, "text", 0.5)
    choice = Choice(of=blocks)
    labels = choice.grid()
    assert labels == ["greedy", '{"a": 2, "kind": "sum"}', '{"a": 1, "kind": "sum"}', "null", "text", 0.5]
    assert [choice.option(label) for label in labels] == list(blocks)
    assert choice.corners() == labels


def test_a_block_may_hold_dimensions_that_exist_where_it_is_chosen() -> None:
    inside = {
        "kind": "optimal_transport",
        "solver": {"kind": "sinkhorn", "epsilon": {"kind": "float", "low": 0.1, "high": 0.2, "points": 2}},
    }
    space = {"loss": Choice(of=(inside, {"kind": "greedy"})), "b": Choice(of=("x", "y"))}
    epsilon = "loss.solver.epsilon"
    assert space["loss"].option("optimal_transport") == {"kind": "optimal_transport", "solver": {"kind": "sinkhorn"}}
    assert [path for path, _ in dimensions(space)] == ["loss", epsilon, "b"]
    assert list(active(space, {"loss": "optimal_transport"})) == ["loss", "b", epsilon]
    assert list(active(space, {"loss": "greedy"})) == ["loss", "b"]
    expected = [{"loss": "optimal_transport", epsilon: value, "b": b} for value in (0.1, 0.2) for b in "xy"]
    assert grid(space) == [*expected, {"loss": "greedy", "b": "x"}, {"loss": "greedy", "b": "y"}]
    assert list(corners(space)) == grid(space)


def test_a_dimension_inside_of_a_block_is_checked_like_any_other() -> None:
    bad = {
        "kind": "optimal_transport",
        "solver": {"kind": "sinkhorn", "epsilon": {"kind": "float", "low": -1.0, "high": 1, "log": True}},
    }
    with pytest.raises(ValidationError, match=r"of: solver\.epsilon: low: must be > 0 .*got -1\.0 \["):
        Choice(of=(bad,))


def test_two_options_of_one_label_are_refused() -> None:
    with pytest.raises(ValidationError, match="twice"):
        Choice(of=(None, "null"))


def test_a_design_is_full_and_its_last_dimension_runs_fastest() -> None:
    space = {"a": Int(low=1, high=2), "b": Choice(of=("x", "y", "z"))}
    assert [tuple(params.values()) for params in grid(space)] == [
        *((1, "x"), (1, "y"), (1, "z")),
        *((2, "x"), (2, "y"), (2, "z")),
    ]
    assert grid({}) == [{}]


def test_corners_are_all_combinations_while_they_are_few_and_single_extremes_beyond() -> None:
    space = {"a": Int(low=1, high=9), "b": Choice(of=("x", "y", "z"))}
    assert len(list(corners(space))) == 6
    assert {tuple(sorted(params)) for params in corners(space)} == {("a", "b")}
    alone = list(corners(space, limit=5))
    assert alone == [{"a": 1}, {"a": 9}, {"b": "x"}, {"b": "y"}, {"b": "z"}]
    assert list(corners({})) == [{}]


def test_an_estimate_needs_to_know_how_many_points_a_float_takes(raw: dict[str, Any]) -> None:
    raw["search"] = {"mode": "estimate", "seeds": 2}
    with pytest.raises(InputError, match=r"^space\.loss\.solver\.epsilon\.points: "):
        from_dict(raw)
    raw["space"]["loss.solver.epsilon"]["points"] = 2
    experiment = from_dict(raw)
    assert len(grid(experiment.space)) == 6 * 2
    inner = {
        "kind": "optimal_transport",
        "solver": {"kind": "sinkhorn", "epsilon": {"kind": "float", "low": 0.1, "high": 0.2}},
    }
    raw["space"] = {"loss": {"kind": "choice", "of": [inner, {"kind": "greedy"}]}}
    with pytest.raises(InputError, match=r"^space\.loss\.solver\.epsilon\.points: "):
        from_dict(raw)
    assert experiment.seeds == (3, 4)


LANGUAGES = ("sw", "de", "hi", "so", "mr")


def sets_of(**settings: Any) -> list[set[str]]:
    return [set(str(label).split("+")) for label in Subset(of=LANGUAGES, **settings).grid()]


def test_leave_one_out_is_singles_all_but_one_and_all() -> None:
    found = sets_of(design="leave_one_out")
    assert [len(one) for one in found] == [1] * 5 + [4] * 5 + [5]
    assert len({sum(language in one for one in found) for language in LANGUAGES}) == 1  # balanced
    assert len(Subset(of=("a", "b"), design="leave_one_out").grid()) == 3
    assert sets_of(design="leave_one_out", max_size=1) == [{language} for language in sorted(LANGUAGES)]


@pytest.mark.parametrize("orders", [1, 2, 5])
def test_orders_are_chains_to_the_whole_set_and_back(orders: int) -> None:
    """The two directions of an order need the complements of each other's prefixes, so the design holds them all."""
    found = sets_of(design="orders", orders=orders)
    assert len(found) <= orders * 2 * 4 + 1
    assert found == sets_of(design="orders", orders=orders)  # the same each time
    proper = [one for one in found if len(one) < 5]
    assert all(set(LANGUAGES) - one in proper for one in proper)
    assert all(any(one < other and len(other) == len(one) + 1 for other in found) for one in proper)


def test_a_design_without_a_set_is_refused() -> None:
    with pytest.raises(ValidationError, match="design: leave_one_out has no set of 2 to 3 languages"):
        Subset(of=LANGUAGES, design="leave_one_out", min_size=2, max_size=3)
    with pytest.raises(ValidationError, match="orders: needs design: orders, got design: lattice"):
        Subset(of=LANGUAGES, orders=3)


def test_older_studies_know_of_no_designs() -> None:
    assert set(canonical(Subset(of=LANGUAGES))) == {"kind", "of", "min_size", "max_size"}


def test_the_corners_of_many_languages_need_little_time() -> None:
    start = time.perf_counter()
    subset = Subset(of=tuple(f"{first}{second}" for first in "abcd" for second in "vwxyz"))
    assert len(subset.corners()) == 21
    assert subset.corners()[-1] == "+".join(sorted(subset.of))
    assert time.perf_counter() - start < 1
