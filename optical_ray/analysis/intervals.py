"""Intervals for a mean over topics and seeds.

Legend of array shapes: ``R`` seeds, ``T`` topics; a block of differences is R x T (one row a trained seed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from optical_ray.analysis.study import FloatArray

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """``low`` to ``high``; ``seed_sd`` is NaN for one seed.

    ``p``: two-sided, with seeds as a level, given the shared teacher (see ``two_level``); with one seed it is the
    paired t-test's, conditional on that seed.
    """

    low: float
    high: float
    num_seeds: int
    num_topics: int
    seed_sd: float
    p: float

    @property
    def across_seeds(self) -> bool:
        """Whether more than one seed was trained."""
        return self.num_seeds > 1

    @property
    def scope(self) -> str:
        """What the interval generalises over, in words."""
        return "over topics and seeds" if self.across_seeds else "over topics, this one seed"

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


def two_level(block: FloatArray, level: float = LEVEL) -> Interval:
    """The interval that the report calls its own: t over seeds (R - 1 degrees of freedom) and over topics (T - 1).

    With difference = mean + topic + seed + topic-by-seed, the variance of the grand mean is A + B where
    A = max(0, s_seed^2 - MS / T) / R, B = s_topic^2 / T, MS = residual mean square. The half width is
    ``(A t_{R-1} + B t_{T-1}) / sqrt(A + B)``: each component brings its own t quantile (Cochran and Cox 1950 for the
    weighting). With two seeds MS / T is not subtracted. For one seed: t over topics, conditional on that seed.

    ``p`` is made for small levels, as Holm needs them, where a seed variance that was estimated as 0 would mislead:
    it solves ``mean^2 = (s_seed^2 / R) t_{R-1}(p)^2 + (B - MS / (R T)) t_{T-1}(p)^2``, the components in quadrature
    with nothing subtracted from the seeds' (Graybill and Wang 1980; Zou and Donner 2008). So it is the more careful of
    the two. Both measured: ``experiments/benchmarks/truth_recovery.py``.
    """
    num_seeds, num_topics = block.shape
    mean = float(block.mean())
    if num_topics < 2:
        return Interval(float("nan"), float("nan"), num_seeds, num_topics, float("nan"), float("nan"))
    topic_means = block.mean(axis=0)
    topics = float(topic_means.var(ddof=1)) / num_topics
    if num_seeds == 1:
        half = -float(special.stdtrit(num_topics - 1, (1 - level) / 2)) * topics**0.5
        return Interval(mean - half, mean + half, 1, num_topics, float("nan"), _p(mean, 0.0, 1, topics, num_topics))
    seed_means = block.mean(axis=1)
    seed_variance = float(seed_means.var(ddof=1))
    residual = block - seed_means[:, None] - topic_means[None, :] + mean
    noise = float((residual**2).sum()) / ((num_seeds - 1) * (num_topics - 1)) / num_topics
    seeds = max(0.0, seed_variance - (noise if num_seeds > 2 else 0.0)) / num_seeds
    t_seeds, t_topics = (-float(special.stdtrit(count - 1, (1 - level) / 2)) for count in (num_seeds, num_topics))
    half = (seeds * t_seeds + topics * t_topics) / (seeds + topics) ** 0.5 if seeds + topics > 0 else 0.0
    p = _p(mean, seed_variance / num_seeds, num_seeds, max(0.0, topics - noise / num_seeds), num_topics)
    return Interval(mean - half, mean + half, num_seeds, num_topics, seed_variance**0.5, p)


def _p(mean: float, seeds: float, num_seeds: int, topics: float, num_topics: int) -> float:
    """The level at which the components in quadrature reach the mean, by bisection on its logarithm."""
    if seeds + topics <= 0:
        return 1.0 if mean == 0 else 0.0
    low, high = 1e-15, 1.0
    for _ in range(60):
        middle = (low * high) ** 0.5
        square = topics * float(special.stdtrit(num_topics - 1, middle / 2)) ** 2
        if seeds > 0:
            square += seeds * float(special.stdtrit(num_seeds - 1, middle / 2)) ** 2
        if square > mean**2:
            low = middle
        else:
            high = middle
    return high


def across_seeds(means: FloatArray, level: float = LEVEL) -> tuple[float, float]:
    """Small-sample t interval of R seed means with R - 1 degrees of freedom, topics held fixed; NaN for one seed."""
    count = len(means)
    if count < 2:
        return float("nan"), float("nan")
    half = -float(special.stdtrit(count - 1, (1 - level) / 2)) * float(means.std(ddof=1)) / count**0.5
    mean = float(means.mean())
    return mean - half, mean + half


def bootstrap(blocks: Sequence[FloatArray], *, num_resamples: int = 2000, seed: int = 0) -> list[tuple[float, float]]:
    """95 % percentile interval of each block's grand mean, topics and seeds drawn with replacement independently.

    The blocks share their T topics and the draws of them. Known to be too narrow with few seeds (it covered 86 to 91 %
    in place of 95 % with three): shown for comparison, never the interval that counts.
    """
    if not blocks:
        return []
    random = np.random.default_rng(seed)
    topics = _draws(random, blocks[0].shape[1], num_resamples)
    found = []
    for block in blocks:
        means = ((topics @ block.T) * _draws(random, len(block), num_resamples)).sum(axis=1)
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        found.append((float(low), float(high)))
    return found


def _draws(random: np.random.Generator, count: int, num_resamples: int) -> FloatArray:
    """num_resamples x count: how often each of ``count`` things is drawn, as shares."""
    drawn = random.integers(0, count, (num_resamples, count)) + count * np.arange(num_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=num_resamples * count).reshape(num_resamples, count) / count
