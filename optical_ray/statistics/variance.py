"""Sums of squares of per-topic scores by factor, and how stable an order of systems is.

Legend of array shapes: ``N`` runs (systems with one seed each), ``J`` targets, ``T`` topics.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from optical_ray.statistics.arrays import FloatArray

TOPIC_BY_SYSTEM = "topic × system"
FEWEST_SHARED = 3
"""Systems that two levels must share for a rank correlation."""


@dataclass(frozen=True)
class Component:
    """A factor: its ``share`` of the total sum of squares and its degrees of freedom."""

    name: str
    share: float
    freedom: int


@dataclass(frozen=True)
class Decomposition:
    """Shares that add up to 1; ``balanced`` tells whether the order in which factors are fitted does not matter."""

    components: tuple[Component, ...]
    balanced: bool
    num_runs: int


@dataclass(frozen=True)
class Factor:
    """A fitted factor: its name and its N x K design matrix; ``nested`` factors do not count against balance."""

    name: str
    design: FloatArray
    nested: bool = False


def decompose(blocks: Sequence[FloatArray], factors: Sequence[Factor]) -> Decomposition | None:
    """Split the sum of squares of J blocks (one per target) of N x T scores.

    Components are target, topic, each factor, seed (what the factors leave) and the interaction of each with the
    target, and topic by system. Targets weigh equally; factors are fitted one after another, which is unique in a
    balanced design. A factor with more degrees of freedom absorbs more noise. None for fewer than two runs or if all
    scores are equal.
    """
    num_runs, num_targets = len(blocks[0]), len(blocks)
    if num_runs < 2:
        return None
    means = np.stack([block.mean(axis=1) for block in blocks], axis=1)
    within, residual = [], []
    for column, block in enumerate(blocks):
        topic = block.mean(axis=0)
        within.append(float(topic.var()))
        residual.append(float(((block - topic - means[:, column, None] + topic.mean()) ** 2).mean()))
    num_topics = sum(block.shape[1] for block in blocks)
    squares: dict[str, tuple[float, int]] = {
        "target": (float(means.mean(axis=0).var()), num_targets - 1),
        "topic": (float(np.mean(within)), num_topics - num_targets),
    }
    fitted, balanced = _sequential(factors, means - means.mean(axis=0))
    squares.update(fitted)
    squares[TOPIC_BY_SYSTEM] = float(np.mean(residual)), (num_topics - num_targets) * (num_runs - 1)
    total = sum(value for value, _ in squares.values())
    if total <= 0:
        return None
    components = tuple(Component(name, value / total, freedom) for name, (value, freedom) in squares.items())
    return Decomposition(components, balanced, num_runs)


def dummies(labels: Sequence[str]) -> FloatArray:
    """Return indicator columns, one per distinct label in sorted order.

    >>> dummies(["b", "a", "b"]).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    names = sorted(set(labels))
    return np.array([[label == name for name in names] for label in labels], dtype=np.float64)


def _sequential(factors: Sequence[Factor], centred: FloatArray) -> tuple[dict[str, tuple[float, int]], bool]:
    """What each factor adds to N x J means (main effect and by target), seeds what remains; and the balance."""
    num_runs, num_targets = centred.shape
    main = np.repeat(centred.mean(axis=1, keepdims=True), num_targets, axis=1)
    parts = {"": main, " × target": centred - main}
    basis = np.full((num_runs, 1), num_runs**-0.5)
    squares: dict[str, tuple[float, int]] = {}
    balanced = True
    for factor in factors:
        fresh = factor.design - basis @ (basis.T @ factor.design)
        centred_design = factor.design - factor.design.mean(axis=0)
        balanced &= factor.nested or bool(np.allclose(fresh, centred_design, atol=1e-9))
        left, values, _ = np.linalg.svd(fresh, full_matrices=False)
        columns = left[:, values > 1e-9 * max(1.0, float(values.max(initial=0.0)))]
        basis = np.concatenate([basis, columns], axis=1)
        for suffix, part in parts.items():
            freedom = columns.shape[1] * (num_targets - 1 if suffix else 1)
            if freedom:
                squares[factor.name + suffix] = float(((columns.T @ part) ** 2).sum()) / centred.size, freedom
    rest = num_runs - basis.shape[1]
    for suffix, part in parts.items():
        freedom = rest * (num_targets - 1 if suffix else 1)
        if freedom:
            remaining = part - basis @ (basis.T @ part)
            squares["seed" + suffix] = float((remaining**2).sum()) / centred.size, freedom
    return squares, balanced


@dataclass(frozen=True)
class Stability:
    """Kendall's tau of the order of systems between every two levels of a factor: mean and lowest."""

    num_levels: int
    num_systems: int
    mean: float
    lowest: float


def stability(table: FloatArray) -> Stability | None:
    """Return the rank stability over the columns (levels) of a systems x levels table; NaN is missing.

    None if no two levels share three systems.
    """
    taus, most = [], 0
    for first, second in itertools.combinations(range(table.shape[1]), 2):
        both = ~np.isnan(table[:, first]) & ~np.isnan(table[:, second])
        if both.sum() >= FEWEST_SHARED:
            tau = float(stats.kendalltau(table[both, first], table[both, second]).statistic)
            if not np.isnan(tau):
                taus.append(tau)
                most = max(most, int(both.sum()))
    return Stability(table.shape[1], most, float(np.mean(taus)), min(taus)) if taus else None
