from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from optical_ray.statistics.significance import benjamini_hochberg, holm, sign_flip, t_test


def differences(num_topics: int, num_rows: int = 3, seed: int = 0) -> np.ndarray:
    """Rounded, so that there are ties and zeros as in average precision."""
    random = np.random.default_rng(seed)
    return np.round(random.normal(0.02, 0.2, (num_rows, num_topics)), 2)


@pytest.mark.parametrize("num_topics", [5, 10, 12])
def test_exact_sign_flip_agrees_with_scipy(num_topics: int) -> None:
    rows = differences(num_topics)
    for row, p in zip(rows, sign_flip(rows), strict=True):
        oracle = stats.permutation_test(
            (row, np.zeros_like(row)), lambda a, b: (a - b).mean(), permutation_type="samples", n_resamples=np.inf
        )
        assert p == pytest.approx(oracle.pvalue, abs=1e-12)


def test_drawn_sign_flip_agrees_with_scipy() -> None:
    rows = differences(200)
    for row, p in zip(rows, sign_flip(rows), strict=True):
        oracle = stats.permutation_test(
            (row, np.zeros_like(row)),
            lambda a, b, axis: (a - b).mean(axis=axis),
            permutation_type="samples",
            n_resamples=20_000,
            vectorized=True,
            rng=np.random.default_rng(1),
        )
        assert p == pytest.approx(oracle.pvalue, abs=5 * (p * (1 - p) / 20_000) ** 0.5 + 1e-4)


def test_drawn_and_exact_sign_flip_agree() -> None:
    rows = differences(16)
    more = np.concatenate([rows, np.full((3, 1), 1e-12)], axis=1)  # a seventeenth topic that moves nothing
    assert sign_flip(more) == pytest.approx(sign_flip(rows), abs=0.01)


def test_rows_are_independent() -> None:
    rows = differences(40, 4)
    assert sign_flip(rows)[2] == pytest.approx(sign_flip(rows[2])[0], abs=0.01)


def test_p_is_uniform_under_the_null() -> None:
    random = np.random.default_rng(3)
    p_values = sign_flip(random.normal(0, 0.1, (1000, 60)), num_resamples=4999)
    correlated = stats.kstest(p_values, "uniform")
    assert correlated.pvalue > 0.01


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip(np.zeros((2, 30))).tolist() == [1.0, 1.0]
    assert t_test(np.zeros((1, 30))).tolist() == [1.0]


def test_t_test_agrees_with_scipy() -> None:
    rows = differences(50)
    oracle = [stats.ttest_rel(row, np.zeros_like(row)).pvalue for row in rows]
    assert t_test(rows) == pytest.approx(oracle, rel=1e-12)


@pytest.mark.parametrize(("ours", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_corrections_agree_with_statsmodels(ours: object, name: str) -> None:
    random = np.random.default_rng(0)
    p_values = np.concatenate([random.uniform(size=30) ** 3, [0.5, 0.5, 0.0, 1.0]])
    assert callable(ours)
    assert ours(p_values) == pytest.approx(multipletests(p_values, method=name)[1], rel=1e-12)
