"""The report's tests on real per-query scores, compared with SciPy's and statsmodels'.

``real_scores.parquet``: AP on the test topics of sw, so and mr (bundled task, ``experiments/source_languages.yaml``)
before distillation and after it on de, hi or so, means over three seeds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from optical_ray.statistics.significance import benjamini_hochberg, holm, sign_flip, t_test

TARGETS, SOURCES = ("sw", "so", "mr"), ("de", "hi", "so")
FAMILY = [(target, source) for target in TARGETS for source in SOURCES]
DRAWS = 20_000

Pairs = dict[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """(after, before) by target and source."""
    table = pq.read_table(Path(__file__).with_name("real_scores.parquet")).to_pydict()
    columns = {name: np.array(values) for name, values in table.items()}
    mine = {target: columns["target"] == target for target in TARGETS}
    return {(t, s): (columns[s][mine[t]], columns["undistilled"][mine[t]]) for t, s in FAMILY}


@pytest.mark.parametrize("cell", FAMILY, ids="-".join)
def test_p_values_are_scipys(pairs: Pairs, cell: tuple[str, str]) -> None:
    after, before = pairs[cell]
    assert len(after) > 400
    [ours] = sign_flip((after - before)[None])
    oracle = stats.permutation_test(
        (after, before),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        n_resamples=DRAWS,
        vectorized=True,
        rng=np.random.default_rng(5),
    ).pvalue
    assert ours == pytest.approx(oracle, abs=5 * (ours * (1 - ours) / DRAWS) ** 0.5 + 1e-4)
    assert t_test((after - before)[None])[0] == pytest.approx(stats.ttest_rel(after, before).pvalue, rel=1e-9)


def test_corrections_are_those_of_statsmodels(pairs: Pairs) -> None:
    p_values = np.array([t_test((after - before)[None])[0] for after, before in pairs.values()])
    assert (p_values < 0.001).any()
    assert (p_values > 0.05).any()
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], rel=1e-12)
    assert benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1], rel=1e-12)
