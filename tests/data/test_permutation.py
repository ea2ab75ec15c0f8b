import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optical_ray.data.permutation import mix_seed, permute


@given(size=st.integers(1, 3000), seed=st.integers(0, 2**70))
def test_every_number_of_the_range_occurs_once(size: int, seed: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(size), size, seed)), np.arange(size))


@given(size=st.integers(1, 2**59), seed=st.integers(0, 2**64), data=st.data())
def test_a_part_is_computed_independently(size: int, seed: int, data: st.DataObject) -> None:
    index = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20, unique=True)))
    together = permute(index, size, seed)
    assert np.array_equal(together, np.concatenate([permute(index[i : i + 1], size, seed) for i in range(len(index))]))
    assert len(set(together.tolist())) == len(index)
    assert together.min() >= 0
    assert together.max() < size


def test_orders_are_spread_evenly() -> None:
    """Position 0 of 1,000 goes everywhere, and orders are not correlated with the identity (5 sigma)."""
    index = np.arange(1000)
    firsts = np.array([permute(index[:1], 1000, seed)[0] for seed in range(1000)])
    assert abs(firsts.mean() - 499.5) < 5 * 288.7 / np.sqrt(1000)
    correlations = [np.corrcoef(permute(index, 1000, seed), index)[0, 1] for seed in range(200)]
    assert abs(np.mean(correlations)) < 5 / np.sqrt(1000 * 200)


def test_six_orders_of_three_are_equally_likely() -> None:
    orders = [tuple(permute(np.arange(3), 3, seed)) for seed in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert max(abs(count - 200) for count in counts) < 5 * np.sqrt(1200 * 5 / 36)


def test_the_order_is_the_same_everywhere() -> None:
    """Pinned: an order that changes would change every trial."""
    assert permute(np.arange(8), 8, seed=7).tolist() == [4, 6, 1, 7, 2, 3, 5, 0]
    assert len({mix_seed(1, 2), mix_seed(2, 1), mix_seed(1), mix_seed(), mix_seed(1, 2, 0), mix_seed(-1)}) == 6


def test_numbers_outside_the_range_are_refused() -> None:
    with pytest.raises(AssertionError):
        permute(np.array([5]), 5, seed=0)
