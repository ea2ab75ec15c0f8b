"""The share of each source language in the gain: Shapley values, as weights on the source sets that were trained.

A game has ``n`` players (languages) and a value v(S) for each trained set S, the empty set being English-only. Every
method here is linear in v, so it is a matrix of weights: values, topics and seeds follow by one product.

Legend of array shapes: ``N`` players, ``P`` pairs of players, ``S`` trained sets (the empty one first), ``R`` seeds,
``T`` topics.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, factorial

import numpy as np

from optical_ray.analysis.intervals import Interval, two_level
from optical_ray.analysis.study import FloatArray

EXACT = "exact: the lattice is complete"
ORDERS = "average over the orders of languages whose every prefix was trained"
ADDITIVE = "least squares of an additive model"
LARGEST_EXACT = 8
"""With more languages the complete lattice is averaged over sampled orders."""

Coalition = frozenset[int]


@dataclass(frozen=True)
class Weights:
    """``values`` is N x S and ``pairs`` P x S (empty where interactions are not identified); ``method`` in words."""

    values: FloatArray
    pairs: FloatArray
    method: str
    num_orders: int


def weights(num_players: int, sets: Sequence[Coalition], *, num_orders: int = 2000, seed: int = 0) -> Weights | None:
    """The best estimate that ``sets`` (the empty one first) allow; ``None`` where languages cannot be told apart.

    Complete lattice: exact (up to 8 languages; beyond, ``num_orders`` orders are sampled). Incomplete, with at least
    one chain from nothing to all: the average marginal gain over all such orders, which is efficient too. Else: the
    additive model ``v(S) - v(0) = sum of phi_i`` by least squares, with kernel weights and the efficiency constraint
    where the full set was trained (Lundberg, Lee 2017), plain otherwise.
    """
    assert not sets[0], "the empty set comes first"
    place = {coalition: index for index, coalition in enumerate(sets)}
    complete = len(place) == 2**num_players
    if complete and num_players <= LARGEST_EXACT:
        return Weights(_exact(num_players, place), _interactions(num_players, place), EXACT, factorial(num_players))
    if complete:
        sampled = _sampled(num_players, place, num_orders, seed)
        return Weights(sampled, np.empty((0, len(place))), f"{num_orders} sampled orders of languages", num_orders)
    orders, found = _chains(num_players, place)
    if found:
        return Weights(orders, np.empty((0, len(place))), ORDERS, found)
    additive = _additive(num_players, sets)
    return None if additive is None else Weights(additive, np.empty((0, len(place))), ADDITIVE, 0)


def _exact(n: int, place: dict[Coalition, int]) -> FloatArray:
    """Shapley 1953: phi_i = sum over S without i of |S|! (n-|S|-1)! / n! (v(S+i) - v(S))."""
    table = np.zeros((n, len(place)))
    for coalition, index in place.items():
        for player in range(n):
            if player in coalition:
                continue
            weight = 1.0 / (n * comb(n - 1, len(coalition)))
            table[player, place[coalition | {player}]] += weight
            table[player, index] -= weight
    return table


def _interactions(n: int, place: dict[Coalition, int]) -> FloatArray:
    """Pairwise Shapley interaction index (Grabisch, Roubens 1999), pairs in the order of itertools.combinations."""
    pairs = list(itertools.combinations(range(n), 2))
    table = np.zeros((len(pairs), len(place)))
    for row, (one, two) in enumerate(pairs):
        for coalition, index in place.items():
            if one in coalition or two in coalition:
                continue
            weight = 1.0 / ((n - 1) * comb(n - 2, len(coalition)))
            table[row, place[coalition | {one, two}]] += weight
            table[row, place[coalition | {one}]] -= weight
            table[row, place[coalition | {two}]] -= weight
            table[row, index] += weight
    return table


def _sampled(n: int, place: dict[Coalition, int], num_orders: int, seed: int) -> FloatArray:
    """Castro, Gomez, Tejada 2009; each order is used forwards and backwards, which halves the sampling error."""
    random = np.random.default_rng(seed)
    table = np.zeros((n, len(place)))
    for _ in range(num_orders // 2):
        order = random.permutation(n).tolist()
        for direction in (order, order[::-1]):
            before: Coalition = frozenset()
            for player in direction:
                after = before | {player}
                table[player, place[after]] += 1.0
                table[player, place[before]] -= 1.0
                before = after
    return table / (2 * (num_orders // 2))


def _chains(n: int, place: dict[Coalition, int]) -> tuple[FloatArray, int]:
    """Weights from all chains from nothing to everything, found by counting paths; and how many there are."""
    full = frozenset(range(n))
    table = np.zeros((n, len(place)))
    if full not in place:
        return table, 0
    by_size = sorted(place, key=len)
    into = dict.fromkeys(by_size, 0)
    onwards = dict.fromkeys(by_size, 0)
    into[frozenset()], onwards[full] = 1, 1
    for coalition in by_size:
        for player in coalition:
            into[coalition] += into.get(coalition - {player}, 0)
    for coalition in reversed(by_size):
        for player in full - coalition:
            onwards[coalition] += onwards.get(coalition | {player}, 0)
    found = into[full]
    for coalition in by_size if found else ():
        for player in full - coalition:
            after = coalition | {player}
            if after in place:
                weight = into[coalition] * onwards[after] / found
                table[player, place[after]] += weight
                table[player, place[coalition]] -= weight
    return table, found


def _additive(n: int, sets: Sequence[Coalition]) -> FloatArray | None:
    """Least-squares weights of the additive model, ``None`` where the sets cannot tell the players apart."""
    members = np.array([[player in coalition for player in range(n)] for coalition in sets[1:]], dtype=np.float64)
    if len(members) == 0 or np.linalg.matrix_rank(members) < n:
        return None
    sizes = members.sum(axis=1).astype(int)
    gains = np.concatenate([-np.ones((len(members), 1)), np.eye(len(members))], axis=1)  # v(S) - v(0)
    if n not in sizes or n == 1:
        return np.asarray(np.linalg.pinv(members) @ gains)
    inner = sizes < n
    kernel = np.array([(n - 1) / (comb(n, int(size)) * size * (n - size)) for size in sizes[inner]])
    design, ones = members[inner], np.ones(n)
    normal = np.linalg.pinv(design.T @ (kernel[:, None] * design))
    if np.linalg.matrix_rank(design) < n:
        return np.asarray(np.linalg.pinv(members) @ gains)
    free = normal @ (design.T * kernel) @ gains[inner]
    total = gains[int(np.argmax(sizes == n))]
    return np.asarray(free + np.outer(normal @ ones / (ones @ normal @ ones), total - ones @ free))


@dataclass(frozen=True)
class Share:
    """What one language (or pair of languages) brings: ``value`` in the measure, with the report's interval."""

    players: tuple[str, ...]
    value: float
    interval: Interval
    per_topic: FloatArray


def shares(names: Sequence[tuple[str, ...]], table: FloatArray, values: FloatArray) -> tuple[Share, ...]:
    """Apply weights (K x S) to values (S x R x T): a share per row, with its interval over topics and seeds."""
    blocks = np.tensordot(table, values, axes=1)
    return tuple(
        Share(tuple(name), float(block.mean()), two_level(block), block.mean(axis=0))
        for name, block in zip(names, blocks, strict=True)
    )


def efficiency_error(table: FloatArray, values: FloatArray, full: int) -> float:
    """``|sum of phi - (v(N) - v(0))|``, worst over seeds and topics; ``full`` is the row of N in ``values``."""
    total = np.tensordot(table.sum(axis=0), values, axes=1)
    return float(np.abs(total - (values[full] - values[0])).max())
