"""Mantel's test: does a property of pairs of languages go with the gain? Tested by relabelling the languages.

Legend of array shapes: ``L`` languages (sources and targets together), ``S`` sources, ``J`` targets.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
from scipy import stats

from optical_ray.statistics.arrays import FloatArray, IntArray

MOST_RELABELLINGS = 5040
"""Up to this many relabellings (7 languages) all are enumerated, else 4,999 are drawn."""

FEWEST_CELLS = 4


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho between a predictor and the gain, with its permutation p over ``num_relabellings``.

    ``critical`` is the |rho| that 5 % of the relabellings exceed: what these languages can show at all. ``values``
    holds the S x J values of the predictor.
    """

    name: str
    rho: float
    p: float
    critical: float
    num_cells: int
    num_languages: int
    num_relabellings: int
    values: FloatArray


def mantel(
    gains: FloatArray,
    predictor: FloatArray,
    sources: Sequence[int],
    targets: Sequence[int],
    *,
    name: str = "",
    seed: int = 0,
) -> Correlation | None:
    """Test S x J gains against an L x L predictor; languages are relabelled, rows and columns together.

    Gains that are NaN are left out. The test is two-sided and exact for up to seven languages, else
    p = (1 + hits) / 5000. None for fewer than four cells or if either side is constant. Ordinary least squares over
    pairs would treat pairs that share a language as independent. Source: Mantel 1967; Krackhardt 1988.
    """
    rows, columns = np.asarray(sources), np.asarray(targets)
    values = predictor[np.ix_(rows, columns)]
    cells = ~np.isnan(gains) & ~np.isnan(values)
    if cells.sum() < FEWEST_CELLS or np.ptp(values[cells]) == 0 or np.ptp(gains[cells]) == 0:
        return None
    count = len(predictor)
    orders, exhaustive = _relabellings(count, seed)
    moved = np.array([predictor[np.ix_(order[rows], order[columns])] for order in orders])
    null = _spearman(gains, moved)
    rho = float(_spearman(gains, values[None])[0])
    usable = null[~np.isnan(null)]
    hits = int((np.abs(usable) >= abs(rho) - 1e-12).sum())
    p = hits / len(usable) if exhaustive else (hits + 1) / (len(usable) + 1)
    critical = float(np.quantile(np.abs(usable), 0.95))
    return Correlation(name, rho, p, critical, int(cells.sum()), count, len(usable), values)


def _relabellings(count: int, seed: int) -> tuple[list[IntArray], bool]:
    if factorial(count) <= MOST_RELABELLINGS:
        return [np.array(order) for order in itertools.permutations(range(count))], True
    random = np.random.default_rng(seed)
    return [random.permutation(count) for _ in range(4999)], False


def _spearman(gains: FloatArray, tables: FloatArray) -> FloatArray:
    """Spearman's rho of S x J gains with each of K x S x J tables, over the cells that both have; NaN below four."""
    present = ~np.isnan(gains)
    observed, others = gains[present], tables[:, present]
    if not np.isnan(others).any():
        return _pearson(stats.rankdata(observed)[None, :], stats.rankdata(others, axis=1))
    correlations = np.full(len(others), np.nan)
    for index, values in enumerate(others):
        both = ~np.isnan(values)
        if both.sum() >= FEWEST_CELLS:
            ranks = stats.rankdata(observed[both])[None, :], stats.rankdata(values[both])[None, :]
            correlations[index] = _pearson(*ranks)[0]
    return correlations


def _pearson(first: FloatArray, second: FloatArray) -> FloatArray:
    first, second = first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(scale > 0, (first * second).sum(axis=1) / scale, np.nan))
