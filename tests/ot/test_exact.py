"""Exact transport against the assignment problem and linear programming."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment, linprog

from optical_ray.ot.solvers.exact import Exact


def test_square_uniform_problems_are_assignments(ragged):
    problems = ragged([(1, 1), (6, 6), (13, 13), (30, 30)])
    out = Exact()(problems.cost, problems.a, problems.b)
    for pair, (m, _) in enumerate(problems.sizes):
        cost = problems.alone(pair)[0].numpy()
        rows, columns = linear_sum_assignment(cost)
        expected = np.zeros((m, m))
        expected[rows, columns] = 1 / m
        np.testing.assert_allclose(out.plan[pair, :m, :m].numpy(), expected, atol=1e-12)


def test_weighted_problems_are_linear_programs(ragged):
    problems = ragged([(3, 5), (6, 2), (4, 4)], uniform=False)
    out = Exact()(problems.cost, problems.a, problems.b)
    for pair, (m, n) in enumerate(problems.sizes):
        cost, a, b = (x.numpy() for x in problems.alone(pair))
        constraints = np.vstack([np.kron(np.eye(m), np.ones(n)), np.kron(np.ones(m), np.eye(n))])
        expected = linprog(cost.ravel(), A_eq=constraints, b_eq=np.concatenate([a, b])).fun
        np.testing.assert_allclose(out.value[pair].item(), expected, atol=1e-9)


def test_padding_in_the_middle_and_pairs_without_tokens(ragged):
    problems = ragged([(5, 5), (3, 3)])
    problems.a[0] = torch.tensor([0.5, 0, 0.5, 0, 0])
    problems.b[1] = 0
    out = Exact()(problems.cost.float(), problems.a.float(), problems.b.float())
    torch.testing.assert_close(out.plan[0].sum(1), problems.a[0].float())
    assert not out.plan[1].any()
    assert out.plan.dtype == torch.float32


def test_the_gradient_is_the_plan(ragged):
    problems = ragged([(3, 4)], uniform=False)
    assert torch.autograd.gradcheck(
        lambda cost: Exact()(cost, problems.a, problems.b).value, (problems.cost.requires_grad_(),)
    )
