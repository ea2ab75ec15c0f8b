from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from optical_ray.statistics.intervals import across_seeds, bootstrap, two_level


def block(num_seeds: int, num_topics: int = 100, seed_sd: float = 0.02, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    topics = random.normal(0.03, 0.1, num_topics)
    return random.normal(0, seed_sd, (num_seeds, 1)) + topics + random.normal(0, 0.05, (num_seeds, num_topics))


def test_one_seed_is_the_paired_t_interval() -> None:
    values = block(1)
    found = two_level(values)
    oracle = stats.ttest_1samp(values[0], 0.0)
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-6)
    assert not found.across_seeds
    assert np.isnan(found.seed_sd)
    assert "this one seed" in found.scope


def test_only_seeds_vary_gives_t_with_seeds_minus_one() -> None:
    """If topics hardly differ, the interval is the t interval of the seed means with S - 1 degrees of freedom."""
    values = np.repeat(np.array([[0.01], [0.02], [0.06]]), 500, axis=1) + np.random.default_rng(0).normal(
        0, 1e-6, (3, 500)
    )
    found = two_level(values)
    assert (found.low, found.high) == pytest.approx(across_seeds(values.mean(axis=1)), rel=1e-3)
    oracle = stats.ttest_1samp(values.mean(axis=1), 0.0)
    assert tuple(oracle.confidence_interval(0.95)) == pytest.approx(across_seeds(values.mean(axis=1)))
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-3)


def test_p_is_more_cautious_than_the_interval() -> None:
    for seed in range(20):
        found = two_level(block(3, seed=seed))
        if found.p < 0.05:
            assert found.excludes_zero


@pytest.mark.parametrize("seed_sd", [0.0, 0.01])
def test_p_holds_its_level_in_the_tail(seed_sd: float) -> None:
    """Of 4,000 null blocks not significantly more than 1 % have p < .01: Holm uses the tail."""
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(4000):
        values = random.normal(0, seed_sd, (3, 1)) + random.normal(0, 0.1, 40) + random.normal(0, 0.05, (3, 40))
        hits += two_level(values).p < 0.01
    assert stats.binomtest(hits, 4000).proportion_ci(0.999).low <= 0.01


def test_constant_differences() -> None:
    assert two_level(np.zeros((3, 10))).p == 1.0
    same = two_level(np.full((2, 10), 0.5))
    assert (same.low, same.high, same.p) == (0.5, 0.5, 0.0)


def test_one_topic_has_no_interval() -> None:
    assert np.isnan(two_level(np.ones((3, 1))).low)
    assert all(np.isnan(bound) for bound in across_seeds(np.array([0.1])))


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_coverage(num_seeds: int) -> None:
    """400 blocks: the nominal 95 % is in the binomial interval of the coverage, or the coverage is higher."""
    hits = 0
    for seed in range(400):
        found = two_level(block(num_seeds, seed=seed))
        hits += found.low <= 0.03 <= found.high
    assert stats.binomtest(hits, 400).proportion_ci(0.999).high >= 0.95


def test_bootstrap_is_narrower_with_few_seeds() -> None:
    values = block(3)
    found, (low, high) = two_level(values), bootstrap([values])[0]
    assert low < values.mean() < high
    assert high - low < found.high - found.low


def test_bootstrap_of_one_seed_is_the_topic_bootstrap() -> None:
    values = block(1, num_topics=400)
    low, high = bootstrap([values], num_resamples=4000)[0]
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert bootstrap([]) == []
