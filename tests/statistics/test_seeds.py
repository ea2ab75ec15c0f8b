from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from optical_ray.statistics.intervals import two_level
from optical_ray.statistics.seeds import brown_forsythe, pool_seeds, seed_noise


def blocks(random: np.random.Generator, num_systems: int, num_seeds: int, seed_sd: float = 0.02) -> list[np.ndarray]:
    topics = random.normal(0.3, 0.1, 80)
    return [
        random.normal(0, seed_sd, (num_seeds, 1)) + topics + random.normal(0, 0.05, (num_seeds, 80))
        for _ in range(num_systems)
    ]


def test_the_pooled_variance_weighs_by_degrees_of_freedom() -> None:
    random = np.random.default_rng(0)
    runs = [*blocks(random, 3, 3), *blocks(random, 2, 2), *blocks(random, 1, 1)]
    pooled = pool_seeds(runs)
    assert pooled is not None
    variances = [run.mean(axis=1).var(ddof=1) for run in runs[:5]]
    assert pooled.variance == pytest.approx((2 * sum(variances[:3]) + sum(variances[3:])) / 8)
    assert (pooled.freedom, pooled.num_systems) == (8, 5)


def test_noise_is_what_topics_cause() -> None:
    random = np.random.default_rng(1)
    estimates = [seed_noise(run) for run in blocks(random, 200, 3)]
    assert np.mean(estimates) == pytest.approx(0.05**2 / 80, rel=0.05)


def test_nothing_to_pool() -> None:
    assert pool_seeds([np.ones((1, 10))]) is None
    assert pool_seeds([np.ones((3, 1))]) is None
    assert pool_seeds([]) is None


def test_brown_forsythe_agrees_with_scipy_for_even_samples() -> None:
    samples = list(np.random.default_rng(2).normal(size=(5, 6)))
    assert brown_forsythe(samples) == pytest.approx(stats.levene(*samples, center="median").pvalue)


def test_brown_forsythe_keeps_its_level_and_sees_differences() -> None:
    random = np.random.default_rng(3)
    null = [brown_forsythe(list(random.normal(size=(7, 3)))) < 0.05 for _ in range(500)]
    assert np.mean(null) <= 0.07
    scales = np.array([1, 1, 1, 30, 30, 30, 30])[:, None]
    assert np.mean([brown_forsythe(list(scales * random.normal(size=(7, 5)))) < 0.05 for _ in range(100)]) > 0.3
    assert np.isnan(brown_forsythe([np.ones(2), np.ones(2)]))
    assert np.isnan(brown_forsythe([np.ones(3), np.ones(3)]))


def test_pooled_intervals_cover_and_p_keeps_its_level() -> None:
    """Three seeds, six systems: intervals of one fixed system, and its p where nothing is planted."""
    random = np.random.default_rng(4)
    covered, rejected = 0, 0
    for _ in range(600):
        runs = [run - 0.3 for run in blocks(random, 6, 3)]
        interval = two_level(runs[0], pooled=pool_seeds(runs))
        covered += interval.low <= 0 <= interval.high
        rejected += interval.p < 0.01
    assert stats.binomtest(covered, 600).proportion_ci(0.999).high >= 0.95
    assert covered / 600 <= 0.99
    assert stats.binomtest(rejected, 600).proportion_ci(0.999).low <= 0.01


@pytest.mark.parametrize("pooled", [True, False])
def test_a_controls_seeds_widen_the_interval(pooled: bool) -> None:
    random = np.random.default_rng(5)
    hits, without = 0, 0
    for _ in range(400):
        topics = random.normal(0.3, 0.02, 80)
        system, control, *others = [
            random.normal(0, 0.02, (3, 1)) + topics + random.normal(0, 0.02, (3, 80)) for _ in range(6)
        ]
        variance = pool_seeds([system, control, *others]) if pooled else None
        block = system - control.mean(axis=0)
        interval = two_level(block, pooled=variance, control=control)
        narrow = two_level(block, pooled=variance)
        hits += interval.low <= 0 <= interval.high
        without += narrow.low <= 0 <= narrow.high
    assert hits / 400 >= 0.93
    assert without < hits


def test_a_single_seed_borrows_the_pooled_variance() -> None:
    runs = blocks(np.random.default_rng(6), 6, 3)
    interval = two_level(runs[0][:1] - 0.3, pooled=pool_seeds(runs))
    assert interval.across_seeds
    assert (
        interval.high - interval.low
        > two_level(runs[0] - 0.3, pooled=pool_seeds(runs)).high - two_level(runs[0] - 0.3, pooled=pool_seeds(runs)).low
    )
