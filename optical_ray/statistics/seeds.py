"""The variance between seeds, pooled over the systems of a target.

Legend of array shapes: ``C`` systems, ``R`` seeds, ``T`` topics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.groups import Groups, mean_variances


@dataclass(frozen=True)
class SeedVariance:
    """How much the mean score of a system varies from seed to seed.

    ``variance`` is that of single seeds' means, topic-by-seed noise included, with ``freedom`` degrees of freedom;
    ``noise`` is the part of it that topics cause. ``equality_p`` is the p of the Brown-Forsythe test that all pooled
    systems have one variance (NaN if it cannot be computed): a small value speaks against pooling.
    """

    variance: float
    noise: float
    freedom: int
    num_systems: int
    equality_p: float

    @property
    def sd(self) -> float:
        """The standard deviation of single seeds' means."""
        return math.sqrt(self.variance)

    def scaled(self, factor: float) -> SeedVariance:
        """Return the variance of a sum of independent systems; ``factor`` is the sum of their squared weights."""
        return replace(self, variance=self.variance * factor, noise=self.noise * factor)


def seed_noise(block: FloatArray, groups: Groups | None = None) -> float:
    """Return the part of the variance of R seed means that topic-by-seed interaction causes, from R x T scores."""
    num_seeds, num_topics = block.shape
    residual: FloatArray = block - block.mean(axis=1, keepdims=True) - block.mean(axis=0)[None, :] + block.mean()
    if groups is None:
        squares = float((residual**2).sum())
    else:
        squares = float(mean_variances(residual, groups).sum()) * num_topics * (num_topics - 1)
    return float(squares / ((num_seeds - 1) * (num_topics - 1)) / num_topics)


def pool_seeds(blocks: Sequence[FloatArray], groups: Groups | None = None) -> SeedVariance | None:
    """Return the seed variance pooled over systems, each R x T; None if no system has two seeds or T is 1.

    The pooled variance is ``sum (R_i - 1) s_i^2 / sum (R_i - 1)``. Source of the test: Brown and Forsythe 1974.
    """
    usable = [block for block in blocks if len(block) > 1 and block.shape[1] > 1]
    if not usable or (groups is not None and groups.num_groups < 2):
        return None
    degrees = np.array([len(block) - 1 for block in usable])
    variances = np.array([block.mean(axis=1).var(ddof=1) for block in usable])
    noises = np.array([seed_noise(block, groups) for block in usable])
    total = int(degrees.sum())
    return SeedVariance(
        float(degrees @ variances) / total,
        float(degrees @ noises) / total,
        total,
        len(usable),
        brown_forsythe([block.mean(axis=1) for block in usable]),
    )


def brown_forsythe(samples: Sequence[FloatArray]) -> float:
    """Return the p of the Brown-Forsythe test of equal variances; NaN for fewer than two samples or no variation.

    Samples of two seeds are left out. A sample of an odd size has one deviation from its own median that is zero by
    construction; it is left out (Hines and Hines 2000), because with three seeds it would hide every difference.
    """
    deviations = []
    for sample in (sample for sample in samples if len(sample) > 2):
        distance = np.abs(sample - np.median(sample))
        if len(sample) % 2:
            distance = np.delete(distance, int(np.argmin(distance)))
        deviations.append(distance)
    if len(deviations) < 2 or all(np.ptp(values) == 0 for values in deviations):
        return float("nan")
    return float(stats.f_oneway(*deviations).pvalue)
