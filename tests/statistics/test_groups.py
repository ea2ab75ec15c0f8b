from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from optical_ray.statistics.groups import Groups, freedom, mean_variance
from optical_ray.statistics.intervals import bootstrap, two_level
from optical_ray.statistics.significance import sign_flip, t_test

SIZES = [20, 9, 7, 5, 4, 3, 2, 2, *[1] * 12]


def correlated(random: np.random.Generator, groups: Groups, num_rows: int, correlation: float = 0.5) -> np.ndarray:
    shared = random.normal(0, correlation**0.5, (num_rows, groups.num_groups))
    return shared[:, groups.codes] + random.normal(0, (1 - correlation) ** 0.5, (num_rows, groups.num_topics))


def of_sizes(sizes: list[int]) -> Groups:
    return Groups(np.repeat(np.arange(len(sizes)), sizes))


def test_sign_flip_by_group_is_brute_force_enumeration() -> None:
    """Every pattern of one sign per group, enumerated topic by topic."""
    random = np.random.default_rng(0)
    labels = [
        ["a", "b", "c", "d", "e", "f", "g"][index] for index in random.permutation([0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 6])
    ]
    rows = np.round(random.normal(0.05, 0.2, (4, len(labels))), 2)
    names = sorted(set(labels))
    for row, p in zip(rows, sign_flip(rows, Groups.from_labels(labels)), strict=True):
        sums = []
        for signs in itertools.product([-1, 1], repeat=len(names)):
            sign_of = dict(zip(names, signs, strict=True))
            sums.append(abs(sum(sign_of[label] * value for label, value in zip(labels, row, strict=True))))
        assert p == np.mean(np.array(sums) >= abs(row.sum()) - 1e-12)


def test_groups_of_one_topic_change_nothing() -> None:
    random = np.random.default_rng(1)
    block = random.normal(0.05, 0.2, (3, 40))
    single = Groups(random.permutation(40))
    row = block.mean(axis=0)
    assert single.effective == 40
    assert mean_variance(row, single) == pytest.approx(mean_variance(row))
    assert freedom(40, single) == pytest.approx(39)
    assert t_test(block, single) == pytest.approx(t_test(block))
    grouped, ungrouped = two_level(block, groups=single), two_level(block)
    assert (grouped.low, grouped.high, grouped.p) == pytest.approx((ungrouped.low, ungrouped.high, ungrouped.p))
    assert sign_flip(block[:, :12], Groups(np.arange(12))) == pytest.approx(sign_flip(block[:, :12]))


def test_equal_groups_are_a_t_test_of_group_means() -> None:
    groups = of_sizes([5] * 12)
    rows = correlated(np.random.default_rng(2), groups, 3)
    means = rows.reshape(3, 12, 5).mean(axis=2)
    assert freedom(60, groups) == pytest.approx(11)
    assert t_test(rows, groups) == pytest.approx(stats.ttest_1samp(means, 0.0, axis=1).pvalue)


def test_the_variance_is_unbiased_for_group_means_of_one_variance() -> None:
    groups = of_sizes(SIZES)
    rows = correlated(np.random.default_rng(3), groups, 4000, correlation=1.0)
    estimates = [mean_variance(row, groups) for row in rows]
    assert np.mean(estimates) == pytest.approx(rows.mean(axis=1).var(), rel=0.05)


def test_false_positives_under_dependence() -> None:
    """The level is kept by group and lost by topic."""
    groups = of_sizes(SIZES)
    rows = correlated(np.random.default_rng(4), groups, 2000)
    by_group = (sign_flip(rows, groups, num_resamples=999) < 0.05).mean()
    by_topic = (sign_flip(rows, num_resamples=999) < 0.05).mean()
    assert 0.03 <= by_group <= 0.07
    assert by_topic > 0.2


def test_coverage_under_dependence() -> None:
    groups = of_sizes(SIZES)
    rows = correlated(np.random.default_rng(5), groups, 1500)
    intervals = [two_level(row[None, :], groups=groups) for row in rows]
    assert 0.94 <= np.mean([interval.low <= 0 <= interval.high for interval in intervals]) <= 0.98


def test_the_bootstrap_draws_groups() -> None:
    groups = of_sizes([10] * 20)
    block = correlated(np.random.default_rng(6), groups, 1, correlation=0.9)
    [(low, high)], [(low_topics, high_topics)] = bootstrap([block], groups), bootstrap([block])
    assert high - low > 1.8 * (high_topics - low_topics)


def test_subsets_and_single_groups() -> None:
    groups = Groups.from_labels(["a", "a", "b", "c"])
    assert groups.subset(np.array([True, False, False, True])).sizes.tolist() == [1.0, 1.0]
    single_group = Groups.from_labels(["a", "a"])
    assert np.isnan(mean_variance(np.array([0.1, 0.2]), single_group))
    assert np.isnan(two_level(np.ones((2, 2)), groups=single_group).low)
    assert np.isnan(t_test(np.ones((1, 2)), single_group)).all()
