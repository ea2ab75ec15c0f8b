"""Paired tests over topics and corrections for many of them.

Legend of array shapes: ``K`` comparisons (cells of the matrix), ``T`` topics. Every p here is conditional on the
trained seeds and the shared teacher: its null hypothesis is about other topics, not about training again.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from optical_ray.statistics.arrays import FloatArray, IntArray
from optical_ray.statistics.groups import Groups, freedom, mean_variances

ALPHA = 0.05
NUM_RESAMPLES = 99_999
EXACT_UP_TO = 16
"""With at most this many non-zero differences all 2^T sign patterns are enumerated."""

TIE = 4e-6
"""Sums that differ by less than this share of the sum of absolute differences are ties: draws are summed in float32."""

CONDITIONAL = "conditional on the trained seeds and the shared teacher"


def sign_flip(
    differences: FloatArray, groups: Groups | None = None, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> FloatArray:
    """Return the K two-sided p-values of the paired randomisation test of K x T differences.

    Under the null hypothesis the sign of each topic's difference is a fair coin; p is the share of sign patterns whose
    mean is at least as far from zero as the observed mean. It is exact for few topics, else
    (1 + hits) / (1 + ``num_resamples``) over random patterns that all rows share. With ``groups`` all topics of a
    group get the same sign. Source: Smucker, Allan, Carterette, CIKM 2007; Phipson, Smyth 2010 for the added one.
    """
    differences = np.atleast_2d(differences)
    if groups is not None:
        differences = groups.sums(differences)
    moved = (differences != 0).any(axis=0)
    work = np.ascontiguousarray(differences[:, moved].T)
    num_units, num_rows = work.shape
    if num_units == 0:
        return np.ones(num_rows)
    observed = np.abs(work.sum(axis=0))
    size = np.maximum(np.abs(work).sum(axis=0), 1e-300)
    if num_units <= EXACT_UP_TO:
        patterns = np.arange(2**num_units)[:, None] >> np.arange(num_units) & 1
        sums = np.abs((2.0 * patterns - 1.0) @ work)
        return np.asarray((sums >= observed - 1e-9 * size).mean(axis=0))
    hits = np.zeros(num_rows, dtype=np.int64)
    random = np.random.default_rng(seed)
    step = max(1, min(4096, 20_000_000 // num_rows))
    single, total = work.astype(np.float32), work.sum(axis=0).astype(np.float32)
    bound = (observed - TIE * size).astype(np.float32)
    for start in range(0, num_resamples, step):
        count = min(step, num_resamples - start)
        bits = np.unpackbits(random.integers(0, 256, (count, -(-num_units // 8)), dtype=np.uint8), axis=1)
        positive = bits[:, :num_units].astype(np.float32) @ single
        hits += (np.abs(2.0 * positive - total) >= bound).sum(axis=0)
    return np.asarray((hits + 1.0) / (num_resamples + 1.0))


def smallest_p(num_units: int, num_resamples: int = NUM_RESAMPLES) -> float:
    """Return the smallest p that ``sign_flip`` can give for this many independent units (topics or groups).

    >>> smallest_p(10), smallest_p(1000)
    (0.001953125, 1e-05)
    """
    return 2.0 ** (1 - num_units) if num_units <= EXACT_UP_TO else 1.0 / (num_resamples + 1)


def t_test(differences: FloatArray, groups: Groups | None = None) -> FloatArray:
    """Return the K two-sided p-values of the paired t-test of K x T differences; NaN for a single topic or group.

    With ``groups`` the standard error and the degrees of freedom are those of ``groups.mean_variances``.
    """
    differences = np.atleast_2d(differences)
    degrees = freedom(differences.shape[1], groups)
    if degrees <= 0:
        return np.full(len(differences), np.nan)
    error = np.sqrt(mean_variances(differences, groups))
    mean = differences.mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(error > 0, mean / error, np.where(mean == 0, 0.0, np.inf))
    return np.asarray(2.0 * stats.t.sf(np.abs(statistic), degrees))


def holm(p_values: FloatArray) -> FloatArray:
    """Return Holm's step-down adjustment, which bounds the family-wise error under any dependence."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return _restore(adjusted, order)


def benjamini_hochberg(p_values: FloatArray) -> FloatArray:
    """Return Benjamini and Hochberg's step-up adjustment, which bounds the false discovery rate."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    scaled = p_values[order] * count / np.arange(1, count + 1)
    adjusted = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return _restore(adjusted, order)


def _restore(values: FloatArray, order: IntArray) -> FloatArray:
    restored = np.empty_like(values)
    restored[order] = values
    return restored
