"""IPOT against a plain float64 loop written from the paper, and against its limit, exact transport."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optical_ray.ot.solvers.exact import Exact
from optical_ray.ot.solvers.ipot import Ipot

SIZES = [(1, 1), (1, 7), (7, 1), (5, 9), (24, 24), (17, 31)]


def by_hand(cost, a, b, beta, iterations, inner):
    kernel, plan, t = np.exp(-cost / beta), np.ones_like(cost), b.copy()
    for _ in range(iterations):
        q = kernel * plan
        for _ in range(inner):
            s = a / (q @ t)
            t = b / (q.T @ s)
        plan = s[:, None] * q * t[None, :]
    return plan


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize(("beta", "iterations", "inner"), [(0.5, 50, 1), (0.1, 10, 3), (2.0, 200, 1)])
def test_each_pair_is_that_of_a_plain_loop(ragged, beta, iterations, inner, uniform, dtype):
    problems = ragged(SIZES, uniform=uniform)
    solver = Ipot(beta=beta, iterations=iterations, inner_iterations=inner)
    out = solver(problems.cost.to(dtype), problems.a.to(dtype), problems.b.to(dtype))
    for pair, (m, n) in enumerate(SIZES):
        expected = by_hand(*(x.numpy() for x in problems.alone(pair)), beta, iterations, inner)
        tolerance = 1e-5 if dtype == torch.float32 else 1e-12
        np.testing.assert_allclose(out.plan[pair, :m, :n].numpy(), expected, rtol=0, atol=tolerance)
        assert not out.plan[pair, m:].any()
        assert not out.plan[pair, :, n:].any()
    error = (out.plan.sum(2) - problems.a).abs().sum(1).to(dtype)
    torch.testing.assert_close(out.marginal_error, error, rtol=0, atol=1e-6)


def test_many_steps_reach_the_exact_value(ragged):
    problems = ragged([(8, 8), (5, 9), (12, 3)], dim=3)
    out = Ipot(iterations=5000)(problems.cost, problems.a, problems.b)
    expected = Exact()(problems.cost, problems.a, problems.b)
    torch.testing.assert_close(out.value, expected.value, rtol=0, atol=1e-3)
    assert (out.marginal_error < 1e-3).all()


def test_the_gradient_of_the_value_is_the_plan_and_problems_without_weight_have_the_zero_plan(ragged):
    problems = ragged([(4, 5), (3, 3), (2, 5)])
    problems.a[1] = 0
    problems.b[2] = 0
    cost = problems.cost.requires_grad_()
    out = Ipot()(cost, problems.a, problems.b)
    out.value.sum().backward()
    torch.testing.assert_close(cost.grad, out.plan)
    assert not out.plan[1:].any()
    assert out.marginal_error[1] == 0


def test_float32_stays_finite_if_plans_become_sparse(ragged):
    problems = ragged(SIZES)
    out = Ipot(beta=0.01, iterations=2000)(problems.cost.float(), problems.a.float(), problems.b.float())
    assert out.plan.isfinite().all()
    torch.testing.assert_close(out.plan.sum(1), problems.b.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("field", "value"), [("beta", 0.0), ("iterations", 0), ("inner_iterations", 0)])
def test_a_value_out_of_range_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}: must be"):
        Ipot(**{field: value})
