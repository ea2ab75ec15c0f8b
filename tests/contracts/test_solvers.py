"""The contract of optimal-transport solvers, checked for every kind in ``optical_ray.ot.solvers``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from optical_ray.ot.cost import cost_matrix
from optical_ray.ot.solvers.interface import Solver
from optical_ray.registry import members

KINDS: dict[str, type[Solver]] = members("optical_ray.ot.solvers", Solver)
VARIANTS: list[tuple[str, dict[str, Any]]] = [("sinkhorn", {"tau": 0.5}), ("sinkhorn", {"gradient": "unrolled"})]
"""More settings of single kinds; the defaults of every kind are checked without an entry here."""

SIZES = [(3, 4), (6, 2), (1, 5), (5, 5)]


def solvers() -> Iterator[Any]:
    for kind, solver in KINDS.items():
        yield pytest.param(solver(), id=kind)
    for kind, changes in VARIANTS:
        yield pytest.param(KINDS[kind](**changes), id=f"{kind}-{changes}")


@pytest.fixture(params=solvers())
def solver(request: pytest.FixtureRequest) -> Solver:
    assert isinstance(request.param, Solver)
    return request.param


@pytest.fixture
def problem() -> tuple[Tensor, Tensor, Tensor]:
    """Cosine costs (B, M, N) of random unit vectors and random weights, in float64, with zero weights at padding."""
    generator = torch.Generator().manual_seed(0)
    sides = []
    for lengths in zip(*SIZES, strict=True):
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        vectors = torch.randn(*mask.shape, 8, generator=generator, dtype=torch.float64)
        weights = (torch.rand(mask.shape, generator=generator, dtype=torch.float64) + 0.2) * mask
        sides.append((functional.normalize(vectors, dim=-1), weights / weights.sum(1, keepdim=True)))
    (x, a), (y, b) = sides
    return 1 - x @ y.mT, a, b


def test_its_first_field_is_its_kind(solver: Solver) -> None:
    assert fields(solver)[0].name == "kind"  # type: ignore[arg-type]
    assert fields(solver)[0].default == solver.kind  # type: ignore[arg-type]
    assert hash(replace(solver)) == hash(solver)  # type: ignore[type-var]
    assert set(solver.cost_fields) <= {field.name for field in fields(solver)}  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_types(solver: Solver, problem: tuple[Tensor, ...], dtype: torch.dtype) -> None:
    cost, a, b = (x.to(dtype) for x in problem)
    transport = solver(cost, a, b)
    assert transport.plan.shape == cost.shape
    assert transport.value.shape == (len(cost),)
    assert transport.plan.dtype == transport.value.dtype == dtype
    for name, values in transport.diagnostics.items():
        assert values.shape == (len(cost),), name
        assert values.isfinite().all(), name
        assert not values.requires_grad, name


def test_the_plan_has_the_marginals_that_it_promises(solver: Solver, problem: tuple[Tensor, ...]) -> None:
    cost, a, b = problem
    transport = solver(cost, a, b)
    assert (transport.plan >= 0).all()
    if transport.marginal_error is None:
        return
    error = (transport.plan.sum(2) - a).abs().sum(1) + (transport.plan.sum(1) - b).abs().sum(1)
    torch.testing.assert_close(transport.marginal_error, error, rtol=0, atol=1e-6)
    assert (error < 0.02).all()


def test_the_value_is_the_cost_of_the_plan(solver: Solver, problem: tuple[Tensor, ...]) -> None:
    transport = solver(*problem)
    torch.testing.assert_close(transport.value, (transport.plan * problem[0]).sum((1, 2)), rtol=0, atol=1e-9)


def test_tokens_without_mass_get_none(solver: Solver, problem: tuple[Tensor, ...]) -> None:
    cost, a, b = (x.clone() for x in problem)
    a[0, 0], b[3, 2] = 0, 0
    a, b = a / a.sum(1, keepdim=True), b / b.sum(1, keepdim=True)
    transport = solver(cost, a, b)
    assert not transport.plan[(a == 0)[:, :, None] | (b == 0)[:, None, :]].any()
    changed = torch.where((a > 0)[:, :, None] & (b > 0)[:, None, :], cost, 1.5)
    torch.testing.assert_close(solver(changed, a, b).plan, transport.plan, rtol=0, atol=1e-9)


def test_a_batch_equals_a_loop(solver: Solver, problem: tuple[Tensor, ...]) -> None:
    cost, a, b = problem
    whole = solver(cost, a, b)
    for pair, (m, n) in enumerate(SIZES):
        single = solver(cost[pair : pair + 1, :m, :n], a[pair : pair + 1, :m], b[pair : pair + 1, :n])
        torch.testing.assert_close(whole.plan[pair, :m, :n], single.plan[0], rtol=0, atol=1e-9)
        torch.testing.assert_close(whole.value[pair], single.value[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("side", [0, 1, 2])
def test_a_problem_without_mass_has_the_zero_plan(solver: Solver, problem: tuple[Tensor, ...], side: int) -> None:
    cost, a, b = (x.clone() for x in problem)
    if side in (0, 2):
        a[1] = 0
    if side in (1, 2):
        b[1] = 0
    cost.requires_grad_()
    transport = solver(cost, a, b)
    assert not transport.plan[1].any()
    assert transport.value[1] == 0
    assert transport.marginal_error is None or transport.marginal_error[1] == 0
    (gradient,) = torch.autograd.grad(transport.value.sum(), cost)
    assert gradient.isfinite().all()
    assert not gradient[1].any()


def test_the_gradient_is_finite_and_is_the_plan_if_that_is_constant(
    solver: Solver, problem: tuple[Tensor, ...]
) -> None:
    cost, a, b = problem
    cost.requires_grad_()
    transport = solver(cost, a, b)
    (gradient,) = torch.autograd.grad(transport.value.sum(), cost, retain_graph=True)
    assert gradient.isfinite().all()
    if not transport.plan.requires_grad:
        torch.testing.assert_close(gradient, transport.plan)


def test_inputs_are_not_modified(solver: Solver, problem: tuple[Tensor, ...]) -> None:
    before = [x.clone() for x in problem]
    solver(*problem)
    for old, new in zip(before, problem, strict=True):
        assert torch.equal(old, new)


def test_embeddings_give_the_plan_of_their_cost_matrix(solver: Solver) -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = (functional.normalize(torch.randn(2, length, 8, generator=generator), dim=-1) for length in (3, 4))
    masks = [torch.ones(side.shape[:2], dtype=torch.bool) for side in (x, y)]
    a, b = (mask / mask.sum(1, keepdim=True) for mask in masks)
    x.requires_grad_()
    transport = solver.solve_embeddings(x, y, *masks, a, b, "cosine")
    expected = solver(cost_matrix(x, y, *masks, "cosine"), a, b)
    torch.testing.assert_close(transport.plan, expected.plan, rtol=0, atol=1e-6)
    gradients = [torch.autograd.grad(result.value.sum(), x)[0] for result in (transport, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)


def test_a_rescaled_solver_has_the_same_plan_for_rescaled_costs(solver: Solver, problem: tuple[Tensor, ...]) -> None:
    cost, a, b = problem
    rescaled = solver.rescaled(2.0)(2 * cost, a, b)
    torch.testing.assert_close(rescaled.plan, solver(cost, a, b).plan, rtol=0, atol=1e-9)
