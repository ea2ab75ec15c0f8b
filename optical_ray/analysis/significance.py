"""Paired tests over topics, corrections for many of them, effect sizes.

Legend of array shapes: ``K`` comparisons (cells of the matrix), ``T`` topics. Every p here is conditional on the
trained seeds and the shared teacher: its null speaks of topics, not of training again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from optical_ray.analysis.study import FloatArray

NUM_RESAMPLES = 99_999
EXACT_UP_TO = 16
"""Up to this many non-zero differences all 2^T sign patterns are counted."""

TIE = 4e-6
"""Sums this close (relative to the sum of absolute differences) count as ties: the draws are summed in float32."""

CONDITIONAL = "conditional on the trained seeds and the shared teacher"


def sign_flip(differences: FloatArray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> FloatArray:
    """Two-sided paired randomisation test of each row of K x T differences; K p-values.

    Under the null the sign of each topic's difference is a fair coin; p is the share of sign patterns whose mean is at
    least as far from zero as the observed one: exact for few topics, else (1 + hits) / (1 + ``num_resamples``) over
    patterns drawn once and shared by all rows. Resolution 1e-5. Source: Smucker, Allan, Carterette, CIKM 2007;
    Phipson, Smyth 2010 for the added one.
    """
    differences = np.atleast_2d(differences)
    moved = (differences != 0).any(axis=0)
    work = np.ascontiguousarray(differences[:, moved].T)
    num_topics, num_rows = work.shape
    if num_topics == 0:
        return np.ones(num_rows)
    observed = np.abs(work.sum(axis=0))
    size = np.maximum(np.abs(work).sum(axis=0), 1e-300)
    if num_topics <= EXACT_UP_TO:
        patterns = np.arange(2**num_topics)[:, None] >> np.arange(num_topics) & 1
        sums = np.abs((2.0 * patterns - 1.0) @ work)
        return np.asarray((sums >= observed - 1e-9 * size).mean(axis=0))
    hits = np.zeros(num_rows, dtype=np.int64)
    random = np.random.default_rng(seed)
    step = max(1, min(4096, 20_000_000 // num_rows))
    single, total = work.astype(np.float32), work.sum(axis=0).astype(np.float32)
    bound = (observed - TIE * size).astype(np.float32)
    for start in range(0, num_resamples, step):
        count = min(step, num_resamples - start)
        bits = np.unpackbits(random.integers(0, 256, (count, -(-num_topics // 8)), dtype=np.uint8), axis=1)
        positive = bits[:, :num_topics].astype(np.float32) @ single
        hits += (np.abs(2.0 * positive - total) >= bound).sum(axis=0)
    return np.asarray((hits + 1.0) / (num_resamples + 1.0))


def t_test(differences: FloatArray) -> FloatArray:
    """Two-sided paired t-test of each row of K x T differences; 1 where nothing differs."""
    differences = np.atleast_2d(differences)
    count = differences.shape[1]
    if count < 2:
        return np.full(len(differences), np.nan)
    spread = differences.std(axis=1, ddof=1)
    mean = differences.mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(spread > 0, mean / (spread / np.sqrt(count)), np.where(mean == 0, 0.0, np.inf))
    return np.asarray(2.0 * stats.t.sf(np.abs(statistic), count - 1))


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's step-down adjustment: family-wise error over all of ``p_values``, whatever their dependence."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return _restore(adjusted, order)


def benjamini_hochberg(p_values: FloatArray) -> FloatArray:
    """Benjamini and Hochberg's step-up adjustment: false discovery rate over all of ``p_values``."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    scaled = p_values[order] * count / np.arange(1, count + 1)
    adjusted = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return _restore(adjusted, order)


def _restore(values: FloatArray, order: NDArray[np.int64]) -> FloatArray:
    restored = np.empty_like(values)
    restored[order] = values
    return restored


@dataclass(frozen=True)
class Effect:
    """How large a paired difference is, beside whether it is there.

    ``d_z``: mean / sd of the topic differences (Cohen). ``improved``, ``hurt``: shares of topics.
    ``detectable``: 2.8 sd / sqrt(T), the difference found with power 0.8 at two-sided 0.05.
    """

    d_z: float
    improved: float
    hurt: float
    detectable: float


def effect(differences: FloatArray) -> Effect:
    """The effect sizes of T topic differences."""
    count = len(differences)
    spread = float(differences.std(ddof=1)) if count > 1 else float("nan")
    mean = float(differences.mean())
    d_z = mean / spread if spread > 0 else (0.0 if mean == 0 else float("nan"))
    improved, hurt = float((differences > 0).mean()), float((differences < 0).mean())
    return Effect(d_z, improved, hurt, 2.8 * spread / float(np.sqrt(count)))
