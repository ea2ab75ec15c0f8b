"""A thousand random ragged problems against POT in float64, in one ragged batch per setting."""

from __future__ import annotations

import random

import numpy as np
import ot
import pytest
import torch

from optical_ray.ot.entropic import solve
from optical_ray.ot.solvers.sinkhorn import Sinkhorn

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}
ITERATIONS = 100
EXTENDED = np.finfo(np.longdouble).minexp < -16000  # not on every processor


def balanced(cost, a, b, epsilon):
    start = (np.log(a), np.zeros(len(b)))
    return ot.bregman.sinkhorn_log(a, b, cost, epsilon, numItermax=ITERATIONS, stopThr=0, warn=False, warmstart=start)


def unbalanced(cost, a, b, epsilon, tau):
    # POT takes the rows first, so it gets the transpose; its kernel needs the exponents of extended precision
    dtype = np.longdouble if epsilon < 0.02 else np.float64
    b, a, cost = (array.astype(dtype) for array in (b, a, cost.T.copy()))
    plan = ot.unbalanced.sinkhorn_knopp_unbalanced(
        b, a, cost, epsilon, tau, numItermax=ITERATIONS, stopThr=0, reg_type="kl"
    )
    return plan.T.astype(np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("case", range(20))
def test_plans_are_those_of_pot(ragged, case, record_property):
    rng = random.Random(case)
    sizes = [(rng.randint(1, 40), rng.randint(1, 40)) for _ in range(50)]
    tau = rng.choice([0.05, 0.5, 5.0]) if case % 3 == 2 else None
    lowest = -3 if tau is None or EXTENDED else -1.7
    epsilon = 0.001 if case == 2 and EXTENDED else 10 ** rng.uniform(lowest, 0)
    problems = ragged(sizes, seed=case, uniform=case % 2 == 0, dim=rng.choice([4, 32, 128]))
    if case % 4 >= 2:  # partial weights: tokens without mass anywhere
        generator = torch.Generator().manual_seed(case)
        for weights in (problems.a, problems.b):
            dropped = torch.rand(weights.shape, generator=generator) < 0.3
            dropped[:, 0] = False
            weights[dropped] = 0
            weights /= weights.sum(1, keepdim=True)
    expected = []
    for pair in range(len(sizes)):
        i, j = (w[pair].nonzero()[:, 0] for w in (problems.a, problems.b))
        cost, a, b = problems.cost[pair][i][:, j].numpy(), problems.a[pair, i].numpy(), problems.b[pair, j].numpy()
        expected.append(balanced(cost, a, b, epsilon) if tau is None else unbalanced(cost, a, b, epsilon, tau))
    worst = {}
    for dtype, tolerance in TOLERANCE.items():
        config = Sinkhorn(epsilon=epsilon, max_iterations=ITERATIONS, threshold=0.0, tau=tau)
        out = solve(problems.cost.to(dtype), problems.a.to(dtype), problems.b.to(dtype), config)
        differences = []
        for pair in range(len(sizes)):
            i, j = (w[pair].nonzero()[:, 0] for w in (problems.a, problems.b))
            solved = out.plan[pair].double()
            differences.append(np.abs(solved[i][:, j].numpy() - expected[pair]).max())
            assert solved.sum().item() == pytest.approx(solved[i][:, j].sum().item())
        worst[dtype] = max(differences)
        record_property(str(dtype), worst[dtype])
        assert worst[dtype] <= tolerance
    print(f"case {case}: epsilon {epsilon:.4f}, tau {tau}, " + ", ".join(f"{d}: {w:.1e}" for d, w in worst.items()))
    config = Sinkhorn(epsilon=epsilon, max_iterations=500, tau=tau)
    out = solve(problems.cost.float(), problems.a.float(), problems.b.float(), config)
    residual = out.marginal_error if tau is None else out.diagnostics["residual"]
    assert (residual[out.diagnostics["converged"].bool()] <= config.threshold).all()
    if tau is None:
        error = (out.plan.double().sum(1) - problems.b).abs().sum(1)
        assert (error[out.diagnostics["converged"].bool()] <= config.threshold + 1e-5).all()
        assert (out.plan.double().sum(2) - problems.a).abs().sum(1).max() <= 1e-5
