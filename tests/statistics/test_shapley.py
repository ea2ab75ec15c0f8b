from __future__ import annotations

import itertools
from math import factorial

import numpy as np
import pytest

from optical_ray.statistics.shapley import ADDITIVE, EXACT, ORDERS, Coalition, efficiency_error, shares, weights


def lattice(num_players: int) -> list[Coalition]:
    return [
        frozenset(subset)
        for size in range(num_players + 1)
        for subset in itertools.combinations(range(num_players), size)
    ]


def by_definition(num_players: int, values: dict[Coalition, float]) -> list[float]:
    """The mean marginal gain over all orders, one by one."""
    totals = [0.0] * num_players
    for order in itertools.permutations(range(num_players)):
        before: Coalition = frozenset()
        for player in order:
            totals[player] += values[before | {player}] - values[before]
            before = before | {player}
    return [total / factorial(num_players) for total in totals]


@pytest.mark.parametrize("num_players", [1, 2, 4, 5])
def test_exact_is_the_mean_over_orders(num_players: int) -> None:
    sets = lattice(num_players)
    values = np.random.default_rng(num_players).normal(size=len(sets))
    found = weights(num_players, sets)
    assert found is not None
    assert found.method == EXACT
    assert found.values @ values == pytest.approx(by_definition(num_players, dict(zip(sets, values, strict=True))))


@pytest.mark.parametrize("num_players", [3, 8])
def test_efficiency(num_players: int) -> None:
    sets = lattice(num_players)
    values = np.random.default_rng(0).uniform(size=(len(sets), 3, 50))
    found = weights(num_players, sets)
    assert found is not None
    assert efficiency_error(found.values, values, len(sets) - 1) <= 1e-12


def test_interactions() -> None:
    """v = x0 + 2 x1 + 5 x0 x1 + x2: the only interaction is 5, shared equally by x0 and x1."""
    sets = lattice(3)
    values = np.array([(0 in s) + 2.0 * (1 in s) + 5.0 * ({0, 1} <= s) + (2 in s) for s in sets])
    found = weights(3, sets)
    assert found is not None
    assert found.pairs @ values == pytest.approx([5.0, 0.0, 0.0])
    assert found.values @ values == pytest.approx([3.5, 4.5, 1.0])


def test_many_players_are_sampled() -> None:
    sets = lattice(9)
    random = np.random.default_rng(0)
    gains = random.normal(size=9)
    values = np.array([sum(gains[player] for player in s) for s in sets])
    found = weights(9, sets)
    assert found is not None
    assert "sampled" in found.method
    assert found.values @ values == pytest.approx(gains)  # additive: every order gives the same
    assert efficiency_error(found.values, random.uniform(size=(512, 2, 5)), 511) <= 1e-12


def test_a_design_of_orders_is_averaged_over_them() -> None:
    orders = [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)]
    sets: list[Coalition] = [frozenset()]
    for order in orders:
        sets += [frozenset(order[:size]) for size in range(1, 5)]
    sets = list(dict.fromkeys(sets))
    found = weights(4, sets)
    assert found is not None
    assert found.method == ORDERS
    assert found.num_orders >= 3
    values = np.random.default_rng(0).uniform(size=(len(sets), 2, 7))
    assert efficiency_error(found.values, values, sets.index(frozenset(range(4)))) <= 1e-12


@pytest.mark.parametrize("with_full", [True, False])
def test_an_incomplete_design_recovers_an_additive_truth(with_full: bool) -> None:
    sets: list[Coalition] = [frozenset(), *(frozenset({player}) for player in range(4)), frozenset({0, 1})]
    sets += [frozenset(range(4))] if with_full else []
    gains = np.array([0.1, -0.2, 0.3, 0.05])
    values = 0.3 + np.array([sum(gains[player] for player in s) for s in sets])
    found = weights(4, sets)
    assert found is not None
    assert found.method == ADDITIVE
    assert found.values @ values == pytest.approx(gains)
    if with_full:
        noisy = np.random.default_rng(0).uniform(size=(len(sets), 1, 3))
        assert efficiency_error(found.values, noisy, len(sets) - 1) <= 1e-12


def test_languages_that_only_occur_together_are_not_identified() -> None:
    assert weights(3, [frozenset(), frozenset({0, 1}), frozenset({0, 1, 2})]) is None
    assert weights(2, [frozenset()]) is None


def test_shares_have_intervals_over_topics_and_seeds() -> None:
    sets = lattice(2)
    random = np.random.default_rng(0)
    truth = np.array([0.0, 0.05, 0.02, 0.07])
    values = truth[:, None, None] + random.normal(0, 0.2, (1, 1, 300)) + random.normal(0, 0.02, (4, 3, 300))
    found = weights(2, sets)
    assert found is not None
    one, two = shares([("de",), ("hi",)], found.values, values)
    assert one.interval.low < 0.05 < one.interval.high
    assert one.value + two.value == pytest.approx(values[3].mean() - values[0].mean())
    assert one.interval.num_seeds == 3
