"""Intervals for a mean over topics and seeds.

Legend of array shapes: ``R`` seeds, ``T`` topics; a block of differences is R x T, one row per trained seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.groups import Groups, freedom, mean_variance
from optical_ray.statistics.seeds import SeedVariance, seed_noise

LEVEL = 0.95
FEWEST_POOLED = 5


@dataclass(frozen=True)
class Parts:
    """The variance of a mean, split into its topic and its seed part, each with its degrees of freedom.

    ``topics`` and ``seeds`` make the interval; ``topics_only`` and ``seeds_raw`` make p: the topic part without the
    topic-by-seed noise, and the seed part with nothing subtracted. ``pooled`` tells whether the seed part comes from
    several systems together with at least ``FEWEST_POOLED`` degrees of freedom.
    """

    topics: float
    topics_only: float
    topic_freedom: float
    seeds: float = 0.0
    seeds_raw: float = 0.0
    seed_freedom: float = 0.0
    pooled: bool = False

    @property
    def variance(self) -> float:
        """The variance of the mean that p uses."""
        return self.topics_only + self.seeds_raw

    @property
    def freedom(self) -> float:
        """The degrees of freedom of ``variance`` by Satterthwaite, the seed part counting two fewer.

        Without that p is liberal for small levels if few systems are pooled: three systems with three seeds have a
        family-wise error of 6.4 to 7.7 % instead of 5.5 %.
        """
        if self.variance <= 0 or not self.seed_freedom:
            return self.topic_freedom
        squares = self.topics_only**2 / self.topic_freedom + self.seeds_raw**2 / (self.seed_freedom - 2)
        return self.variance**2 / squares


@dataclass(frozen=True)
class Interval:
    """A confidence interval for a mean difference; bounds and ``p`` are NaN if topics are too few.

    ``p`` is two-sided, with seeds as a level and given the shared teacher (see ``two_level``); for one seed it is that
    of the paired t-test. ``seed_sd`` is the sd of this block's seed means, NaN for one seed. ``num_groups`` counts the
    groups of topics, 0 without groups.
    """

    low: float
    high: float
    num_seeds: int
    num_topics: int
    seed_sd: float
    p: float
    parts: Parts
    num_groups: int = 0

    @property
    def across_seeds(self) -> bool:
        """Whether the interval includes the variance between seeds."""
        return self.parts.seed_freedom > 0

    @property
    def scope(self) -> str:
        """What the interval generalises over."""
        return "over topics and seeds" if self.across_seeds else "over topics, for this one seed"

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside the interval."""
        return self.low > 0 or self.high < 0


def two_level(
    block: FloatArray,
    *,
    groups: Groups | None = None,
    pooled: SeedVariance | None = None,
    control: FloatArray | None = None,
    num_seeds: int | None = None,
    level: float = LEVEL,
) -> Interval:
    """Return the interval of the mean of an R x T block of differences, over topics and seeds.

    With difference = mean + topic + seed + topic-by-seed, the variance of the mean is A + B with
    A = max(0, s_seed^2 - noise) / R and B = s_topic^2 / T. The half width is
    ``(A t_a + B t_b) / sqrt(A + B)``: each part has its own t quantile (Cochran and Cox 1950 for the weighting), with
    R - 1 and T - 1 degrees of freedom. For one seed, if nothing is pooled, it is t over topics, conditional on that
    seed.

    ``pooled`` replaces s_seed^2, its noise and its degrees of freedom by those of all systems together. ``groups``
    replace B and its degrees of freedom by those of ``groups.mean_variances``. ``control`` is an R' x T block that was
    subtracted as a mean: its seeds add ``(s_seed^2 - noise) / R'`` to A. ``num_seeds`` is reported instead of R if rows
    are means over seeds. With two seeds and no pooling no noise is subtracted.

    ``p`` is for small levels, as Holm needs them, at which a seed variance that was estimated as 0 would mislead, so
    nothing is subtracted from s_seed^2. With pooling it is the t-test with variance ``s_seed^2 / R + B - noise / R``
    and the degrees of freedom ``Parts.freedom``. Without pooling, or with fewer than five degrees of freedom, it solves
    ``mean^2 = (s_seed^2 / R) t_a(p)^2 + (B - noise / R) t_b(p)^2``, the parts in quadrature (Graybill and Wang 1980;
    Zou and Donner 2008), which is more cautious.
    """
    num_rows, num_topics = block.shape
    num_seeds = num_seeds or num_rows
    mean = float(block.mean())
    num_groups = 0 if groups is None else groups.num_groups
    topic_freedom = freedom(num_topics, groups)
    if topic_freedom <= 0:
        missing = float("nan")
        parts = Parts(missing, missing, topic_freedom)
        return Interval(missing, missing, num_seeds, num_topics, missing, missing, parts, num_groups)
    topics = mean_variance(block.mean(axis=0), groups)
    parts = _parts(block, topics, topic_freedom, groups, pooled, control)
    t_topics = -float(special.stdtrit(topic_freedom, (1 - level) / 2))
    t_seeds = -float(special.stdtrit(parts.seed_freedom, (1 - level) / 2)) if parts.seed_freedom else 0.0
    total = parts.seeds + parts.topics
    half = (parts.seeds * t_seeds + parts.topics * t_topics) / total**0.5 if total > 0 else 0.0
    seed_sd = float(block.mean(axis=1).std(ddof=1)) if num_rows > 1 else float("nan")
    return Interval(mean - half, mean + half, num_seeds, num_topics, seed_sd, _p(mean, parts), parts, num_groups)


def _parts(
    block: FloatArray,
    topics: float,
    topic_freedom: float,
    groups: Groups | None,
    pooled: SeedVariance | None,
    control: FloatArray | None,
) -> Parts:
    num_seeds = len(block)
    if num_seeds == 1 and pooled is None:
        return Parts(topics, topics, topic_freedom)
    share, degrees = 1.0 / num_seeds, float(num_seeds - 1)
    if pooled is not None:
        variance, noise, degrees = pooled.variance, pooled.noise, float(pooled.freedom)
    else:
        variance, noise = float(block.mean(axis=1).var(ddof=1)), seed_noise(block, groups)
    subtracted = noise if degrees > 1 else 0.0
    seeds, raw = max(0.0, variance - subtracted) * share, variance * share
    if control is not None and len(control) > 1:
        if pooled is not None:
            seeds, raw = seeds + max(0.0, variance - noise) / len(control), raw + variance / len(control)
        else:
            own, own_noise = float(control.mean(axis=1).var(ddof=1)), seed_noise(control, groups)
            own_degrees = len(control) - 1
            first, second = raw, own / len(control)
            seeds += max(0.0, own - (own_noise if own_degrees > 1 else 0.0)) / len(control)
            raw = first + second
            if raw > 0:  # Welch and Satterthwaite
                degrees = raw**2 / (first**2 / degrees + second**2 / own_degrees)
        noise_share = noise * (share + 1.0 / len(control))
    else:
        noise_share = noise * share
    return Parts(topics, max(0.0, topics - noise_share), topic_freedom, seeds, raw, degrees, _is_pooled(pooled))


def _is_pooled(pooled: SeedVariance | None) -> bool:
    return pooled is not None and pooled.freedom >= FEWEST_POOLED


def _p(mean: float, parts: Parts) -> float:
    """The t-test if seeds are pooled; else the level at which the parts in quadrature reach the mean, by bisection."""
    if parts.variance <= 0:
        return 1.0 if mean == 0 else 0.0
    if parts.pooled:
        return 2.0 * float(special.stdtr(parts.freedom, -abs(mean) / parts.variance**0.5))
    low, high = 1e-15, 1.0
    for _ in range(60):
        middle = (low * high) ** 0.5
        square = parts.topics_only * float(special.stdtrit(parts.topic_freedom, middle / 2)) ** 2
        if parts.seeds_raw > 0:
            square += parts.seeds_raw * float(special.stdtrit(parts.seed_freedom, middle / 2)) ** 2
        if square > mean**2:
            low = middle
        else:
            high = middle
    return high


def across_seeds(means: FloatArray, level: float = LEVEL) -> tuple[float, float]:
    """Return the t interval of R seed means with R - 1 degrees of freedom, topics held fixed; NaN for one seed."""
    count = len(means)
    if count < 2:
        return float("nan"), float("nan")
    half = -float(special.stdtrit(count - 1, (1 - level) / 2)) * float(means.std(ddof=1)) / count**0.5
    mean = float(means.mean())
    return mean - half, mean + half


def bootstrap(
    blocks: Sequence[FloatArray], groups: Groups | None = None, *, num_resamples: int = 2000, seed: int = 0
) -> list[tuple[float, float]]:
    """Return the 95 % percentile interval of each block's mean, topics (or groups) and seeds drawn independently.

    The blocks share their T topics and the draws of them. With few seeds it is too narrow (it covered 86 to 91 %
    instead of 95 % with three): it is shown for comparison and no claim rests on it.
    """
    if not blocks:
        return []
    random = np.random.default_rng(seed)
    if groups is None:
        topics = _draws(random, blocks[0].shape[1], num_resamples)
    else:
        drawn = _draws(random, groups.num_groups, num_resamples)[:, groups.codes]
        topics = drawn / drawn.sum(axis=1, keepdims=True)
    intervals = []
    for block in blocks:
        means = ((topics @ block.T) * _draws(random, len(block), num_resamples)).sum(axis=1)
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        intervals.append((float(low), float(high)))
    return intervals


def _draws(random: np.random.Generator, count: int, num_resamples: int) -> FloatArray:
    """num_resamples x count: how often each unit is drawn with replacement, as shares."""
    drawn = random.integers(0, count, (num_resamples, count)) + count * np.arange(num_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=num_resamples * count).reshape(num_resamples, count) / count
