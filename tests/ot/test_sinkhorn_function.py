"""The public function ``sinkhorn`` against POT, for every kind of array."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch

from optical_ray.ot.sinkhorn import sinkhorn

GENERATOR = np.random.default_rng(0)
COST = GENERATOR.random((5, 3))
A, B = (w / w.sum() for w in (GENERATOR.random(5), GENERATOR.random(3)))


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_one_problem_is_that_of_pot(convert):
    transport = sinkhorn(convert(COST), convert(A), convert(B), epsilon=0.05, threshold=1e-9)
    expected = ot.sinkhorn(A, B, COST, 0.05, stopThr=1e-12, numItermax=10000)
    np.testing.assert_allclose(transport.plan.numpy(), expected, rtol=0, atol=1e-8)
    assert transport.value.item() == pytest.approx((expected * COST).sum(), abs=1e-8)
    assert transport.plan.dtype == torch.float64
    assert transport.entropic_value.shape == transport.marginal_error.shape == ()


def test_weights_are_uniform_by_default():
    transport = sinkhorn(COST, threshold=1e-9)
    np.testing.assert_allclose(transport.plan.numpy(), ot.sinkhorn([], [], COST, 0.1, stopThr=1e-12), atol=1e-8)


def test_unbalanced_transport_is_that_of_pot():
    transport = sinkhorn(COST, A, 2 * B, epsilon=0.1, tau=0.5, threshold=1e-12)
    expected = ot.unbalanced.sinkhorn_knopp_unbalanced(A, 2 * B, COST, 0.1, 0.5, stopThr=1e-14, reg_type="kl")
    np.testing.assert_allclose(transport.plan.numpy(), expected, atol=1e-8)
    assert transport.marginal_error is None


def test_a_batch_is_its_problems():
    costs = np.stack([COST, 1 - COST]).astype(np.float32)
    batch = sinkhorn(costs, A, np.stack([B, B[::-1]]))
    assert batch.plan.dtype == torch.float32
    for plan, cost, b in zip(batch.plan, costs, (B, B[::-1].copy()), strict=True):
        torch.testing.assert_close(plan, sinkhorn(cost, A, b).plan)


def test_the_gradient_of_the_value_is_the_plan():
    cost = torch.from_numpy(COST).requires_grad_()
    transport = sinkhorn(cost)
    transport.value.backward()
    torch.testing.assert_close(cost.grad, transport.plan)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cost": COST[0]}, r"cost: must have shape \(M, N\) or \(B, M, N\).*got \(3,\)"),
        ({"cost": np.full((2, 2), np.inf)}, "cost: must be finite"),
        ({"cost": COST, "a": B}, r"a: must have shape \(5,\) or \(1, 5\) to fit the cost, got \(3,\)"),
        ({"cost": COST, "b": -B}, "b: must be finite and >= 0, got -"),
        ({"cost": COST, "a": 2 * A}, "a, b: must have the same sum"),
        ({"cost": COST, "epsilon": 0.0}, r"epsilon: must be > 0, got 0\.0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sinkhorn(**arguments)
