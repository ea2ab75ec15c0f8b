from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from optical_ray.statistics.relabelling import mantel


def test_p_is_the_share_of_relabellings() -> None:
    random = np.random.default_rng(0)
    predictor = random.uniform(size=(5, 5))
    sources, targets = [0, 1, 2], [2, 3, 4]
    gains = predictor[np.ix_(sources, targets)] + random.normal(0, 0.1, (3, 3))
    gains[2, 0] = np.nan  # its own language
    found = mantel(gains, predictor, sources, targets)
    assert found is not None
    there = ~np.isnan(gains)

    def rho(order: tuple[int, ...]) -> float:
        moved = predictor[np.ix_([order[index] for index in sources], [order[index] for index in targets])]
        return float(stats.spearmanr(gains[there], moved[there]).statistic)

    null = np.array([rho(order) for order in itertools.permutations(range(5))])
    assert found.rho == pytest.approx(rho((0, 1, 2, 3, 4)))
    assert found.p == pytest.approx((np.abs(null) >= abs(found.rho) - 1e-12).mean())
    assert found.num_relabellings == 120


def test_cells_must_vary() -> None:
    assert mantel(np.ones((2, 2)), np.eye(4), [0, 1], [2, 3]) is None
    assert mantel(np.array([[0.1, np.nan]]), np.eye(3), [0], [1, 2]) is None
