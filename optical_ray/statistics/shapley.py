"""Shapley values of source languages, as weights on the source sets that were trained.

A game has ``n`` players (languages) and a value v(S) for each trained set S; the empty set is English-only. Every
method here is linear in v, so it is a matrix of weights: values per topic and seed follow by one product.

Legend of array shapes: ``N`` players, ``P`` pairs of players, ``S`` trained sets (the empty set first), ``R`` seeds,
``T`` topics.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, factorial

import numpy as np

from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.groups import Groups
from optical_ray.statistics.intervals import Interval, two_level
from optical_ray.statistics.seeds import SeedVariance

EXACT = "exact: the lattice is complete"
ORDERS = "average over the orders of languages all of whose prefixes were trained"
ADDITIVE = "least squares of an additive model"
LARGEST_EXACT = 8
"""With more languages the mean over a complete lattice is taken over sampled orders."""

Coalition = frozenset[int]


@dataclass(frozen=True)
class Weights:
    """``values`` is N x S, ``pairs`` P x S (empty if interactions are not identified); ``method`` is a phrase."""

    values: FloatArray
    pairs: FloatArray
    method: str
    num_orders: int


def weights(num_players: int, sets: Sequence[Coalition], *, num_orders: int = 2000, seed: int = 0) -> Weights | None:
    """Return the best estimate that ``sets`` (the empty one first) allow; None if languages cannot be told apart.

    - Complete lattice: exact for up to 8 languages, else ``num_orders`` sampled orders.
    - Incomplete lattice with at least one chain from the empty to the full set: the mean marginal gain over all such
      orders, which is efficient too.
    - Else: the additive model ``v(S) - v(0) = sum of phi_i`` by least squares, with kernel weights and the efficiency
      constraint if the full set was trained (Lundberg, Lee 2017), unweighted otherwise.
    """
    assert not sets[0], "the empty set comes first"
    position = {coalition: index for index, coalition in enumerate(sets)}
    complete = len(position) == 2**num_players
    if complete and num_players <= LARGEST_EXACT:
        return Weights(
            _exact(num_players, position), _interactions(num_players, position), EXACT, factorial(num_players)
        )
    if complete:
        sampled = _sampled(num_players, position, num_orders, seed)
        return Weights(sampled, np.empty((0, len(position))), f"{num_orders} sampled orders of languages", num_orders)
    orders, num_chains = _chains(num_players, position)
    if num_chains:
        return Weights(orders, np.empty((0, len(position))), ORDERS, num_chains)
    additive = _additive(num_players, sets)
    return None if additive is None else Weights(additive, np.empty((0, len(position))), ADDITIVE, 0)


def _exact(n: int, position: dict[Coalition, int]) -> FloatArray:
    """Shapley 1953: phi_i = sum over S without i of |S|! (n-|S|-1)! / n! (v(S+i) - v(S))."""
    table = np.zeros((n, len(position)))
    for coalition, index in position.items():
        for player in range(n):
            if player in coalition:
                continue
            weight = 1.0 / (n * comb(n - 1, len(coalition)))
            table[player, position[coalition | {player}]] += weight
            table[player, index] -= weight
    return table


def _interactions(n: int, position: dict[Coalition, int]) -> FloatArray:
    """The pairwise Shapley interaction index (Grabisch, Roubens 1999), in the order of itertools.combinations."""
    pairs = list(itertools.combinations(range(n), 2))
    table = np.zeros((len(pairs), len(position)))
    for row, (first, second) in enumerate(pairs):
        for coalition, index in position.items():
            if first in coalition or second in coalition:
                continue
            weight = 1.0 / ((n - 1) * comb(n - 2, len(coalition)))
            table[row, position[coalition | {first, second}]] += weight
            table[row, position[coalition | {first}]] -= weight
            table[row, position[coalition | {second}]] -= weight
            table[row, index] += weight
    return table


def _sampled(n: int, position: dict[Coalition, int], num_orders: int, seed: int) -> FloatArray:
    """Sampled orders (Castro, Gomez, Tejada 2009), each forwards and backwards, which reduces the sampling error."""
    random = np.random.default_rng(seed)
    table = np.zeros((n, len(position)))
    for _ in range(num_orders // 2):
        order = random.permutation(n).tolist()
        for direction in (order, order[::-1]):
            before: Coalition = frozenset()
            for player in direction:
                after = before | {player}
                table[player, position[after]] += 1.0
                table[player, position[before]] -= 1.0
                before = after
    return table / (2 * (num_orders // 2))


def _chains(n: int, position: dict[Coalition, int]) -> tuple[FloatArray, int]:
    """Weights over all chains from the empty to the full set, found by counting paths; and the number of chains."""
    full = frozenset(range(n))
    table = np.zeros((n, len(position)))
    if full not in position:
        return table, 0
    by_size = sorted(position, key=len)
    into = dict.fromkeys(by_size, 0)
    onwards = dict.fromkeys(by_size, 0)
    into[frozenset()], onwards[full] = 1, 1
    for coalition in by_size:
        for player in coalition:
            into[coalition] += into.get(coalition - {player}, 0)
    for coalition in reversed(by_size):
        for player in full - coalition:
            onwards[coalition] += onwards.get(coalition | {player}, 0)
    num_chains = into[full]
    for coalition in by_size if num_chains else ():
        for player in full - coalition:
            after = coalition | {player}
            if after in position:
                weight = into[coalition] * onwards[after] / num_chains
                table[player, position[after]] += weight
                table[player, position[coalition]] -= weight
    return table, num_chains


def _additive(n: int, sets: Sequence[Coalition]) -> FloatArray | None:
    """Least-squares weights of the additive model; None if the sets do not identify the players."""
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
    """What one language (or pair of languages) contributes: ``value`` in the measure, with its interval."""

    players: tuple[str, ...]
    value: float
    interval: Interval
    per_topic: FloatArray


def shares(
    names: Sequence[tuple[str, ...]],
    table: FloatArray,
    values: FloatArray,
    *,
    groups: Groups | None = None,
    pooled: SeedVariance | None = None,
    num_seeds: int | None = None,
) -> tuple[Share, ...]:
    """Apply K x S weights to S x R x T values: one share per row, with its interval over topics and seeds.

    ``pooled`` is the seed variance of one v(S); seeds of different sets are independent, so a share has
    ``sum of w_S^2`` times that variance (the empty set is not trained and has none).
    """
    blocks = np.tensordot(table, values, axes=1)
    return tuple(
        Share(
            tuple(name),
            float(block.mean()),
            two_level(block, groups=groups, pooled=_scaled(pooled, float((row[1:] ** 2).sum())), num_seeds=num_seeds),
            block.mean(axis=0),
        )
        for name, row, block in zip(names, table, blocks, strict=True)
    )


def _scaled(pooled: SeedVariance | None, factor: float) -> SeedVariance | None:
    return None if pooled is None else pooled.scaled(factor)


def efficiency_error(table: FloatArray, values: FloatArray, full: int) -> float:
    """Return ``|sum of phi - (v(N) - v(0))|``, worst over seeds and topics; ``full`` is the row of N in ``values``."""
    total = np.tensordot(table.sum(axis=0), values, axes=1)
    return float(np.abs(total - (values[full] - values[0])).max())
