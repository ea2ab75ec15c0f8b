from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from optical_ray.statistics.groups import Groups
from optical_ray.statistics.intervals import Parts, two_level
from optical_ray.statistics.power import can_be_significant, detectable, detectable_with_seeds, effect, noncentrality
from optical_ray.statistics.seeds import pool_seeds
from optical_ray.statistics.significance import sign_flip


def test_effect_sizes() -> None:
    moved = np.tile([0.1, 0.3, -0.1, 0.0], 100)
    measured = effect(moved)
    assert measured.d_z == pytest.approx(moved.mean() / moved.std(ddof=1))
    assert (measured.improved, measured.hurt) == (0.5, 0.25)
    assert measured.detectable == pytest.approx(2.8 * moved.std(ddof=1) / 20, rel=0.01)


def test_noncentrality_is_that_of_the_t_test() -> None:
    for degrees, alpha in ((5, 0.05), (20, 0.05 / 75), (300, 0.01)):
        shift = noncentrality(degrees, alpha)
        critical = stats.t.isf(alpha / 2, degrees)
        assert stats.nct.sf(critical, degrees, shift) == pytest.approx(0.8, abs=1e-3)
    assert np.isfinite(noncentrality(1.0, 0.01))
    assert noncentrality(0.1, 1e-6) > 1e9
    assert noncentrality(501, 0.05) == pytest.approx(noncentrality(500, 0.05), rel=2e-3)


@pytest.mark.parametrize("num_tests", [1, 8])
@pytest.mark.parametrize("sizes", [None, [1, 2, 3, 4] * 15], ids=["topics", "groups"])
def test_power_at_the_detectable_difference(num_tests: int, sizes: list[int] | None) -> None:
    """At the difference that is called detectable the sign-flip test is significant in about 80 % of studies."""
    random = np.random.default_rng(0)
    groups = None if sizes is None else Groups(np.repeat(np.arange(len(sizes)), sizes))
    num_topics = 100 if groups is None else groups.num_topics

    def draw(count: int) -> np.ndarray:
        noise = random.normal(0, 0.1, (count, num_topics))
        return noise if groups is None else noise + random.normal(0, 0.1, (count, groups.num_groups))[:, groups.codes]

    shift = float(np.mean([detectable(row, groups, num_tests=num_tests) for row in draw(200)]))
    p_values = np.concatenate([sign_flip(draw(100) + shift, groups, num_resamples=4999, seed=i) for i in range(10)])
    assert (p_values * num_tests < 0.05).mean() == pytest.approx(0.8, abs=0.04)


def test_a_design_that_cannot_be_significant() -> None:
    moved = np.random.default_rng(0).normal(0.1, 0.1, 10)
    assert np.isinf(detectable(moved, num_tests=75))
    assert not can_be_significant(10, 75)
    assert can_be_significant(10, 1)
    assert not can_be_significant(1000, 5001)


def test_one_topic_or_group_has_no_detectable_difference() -> None:
    assert np.isnan(detectable(np.array([0.1])))
    assert np.isnan(detectable(np.array([0.1, 0.2]), Groups.from_labels(["a", "a"])))


@pytest.mark.parametrize("num_systems", [6, 1], ids=["pooled", "own"])
def test_power_with_seeds_at_the_detectable_difference(num_systems: int) -> None:
    """At the true variances the test with seeds as a level has a power of about 80 %."""
    random = np.random.default_rng(1)
    seed_variance, topic_variance, noise = 0.01**2, 0.1**2, 0.05**2
    parts = Parts(
        topics=(topic_variance + noise / 3) / 200,
        topics_only=topic_variance / 200,
        topic_freedom=199,
        seeds=seed_variance / 3,
        seeds_raw=(seed_variance + noise / 200) / 3,
        seed_freedom=2 * num_systems,
        pooled=num_systems > 1,
    )
    shift = detectable_with_seeds(parts, num_tests=6)
    hits = 0
    for _ in range(600):
        blocks = [
            random.normal(0, 0.01, (3, 1)) + random.normal(0, 0.1, 200) + random.normal(0, 0.05, (3, 200))
            for _ in range(num_systems)
        ]
        pooled = pool_seeds(blocks) if num_systems > 1 else None
        hits += two_level(blocks[0] + shift, pooled=pooled).p * 6 < 0.05
    assert hits / 600 == pytest.approx(0.8, abs=0.05)
