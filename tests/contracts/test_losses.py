"""The contract of losses, checked for every kind in ``optical_ray.losses``."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch.nn import functional

from optical_ray.losses.interface import Loss
from optical_ray.losses.weighted_sum import WeightedLoss, WeightedSum
from optical_ray.ot.solvers.interface import Solver
from optical_ray.ot.solvers.sinkhorn import Sinkhorn
from optical_ray.registry import members
from optical_ray.retrieval.embeddings import TokenEmbeddings

KINDS = members("optical_ray.losses", Loss)
SOLVERS = members("optical_ray.ot.solvers", Solver)


def tokens(lengths, *, seed, width=None, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(width or max(lengths)) < torch.tensor(lengths)[:, None]
    vectors = torch.zeros(*mask.shape, 8)
    vectors[mask] = functional.normalize(torch.randn(sum(lengths), 8, generator=generator), dim=-1)
    return TokenEmbeddings(vectors.requires_grad_(requires_grad), mask)


def losses():
    """Every kind with its defaults, sums of two, and settings of optimal transport."""
    for kind in KINDS:
        if kind != "sum":  # has no default terms
            yield pytest.param(KINDS[kind](), id=kind)
    for solver in [*(member() for member in SOLVERS.values()), Sinkhorn(tau=0.5), Sinkhorn(gradient="unrolled")]:
        yield pytest.param(KINDS["optimal_transport"](solver=solver), id=f"optimal_transport-{solver}")
    yield pytest.param(KINDS["optimal_transport"](cost="squared_euclidean"), id="optimal_transport-squared_euclidean")
    for kinds in (["greedy", "softmax"], ["optimal_transport", "contrastive"]):
        terms = tuple(WeightedLoss(KINDS[kind](), weight=0.5) for kind in kinds)
        yield pytest.param(WeightedSum(terms=terms), id="sum-" + "-".join(kinds))


@pytest.fixture(params=losses())
def loss(request):
    return request.param


def test_the_kinds_of_the_package_are_found():
    expected = {"optimal_transport", "greedy", "softmax", "sentence_mse", "contrastive", "relevance_kl", "sum"}
    assert expected <= set(KINDS)


def test_its_first_field_is_its_kind(loss):
    assert fields(loss)[0].name == "kind"
    assert fields(loss)[0].default == loss.kind
    assert replace(loss) == loss
    assert hash(replace(loss)) == hash(loss)


def test_a_scalar_with_finite_gradients_for_real_student_tokens_only(loss):
    student, teacher = tokens([3, 1, 6], seed=0, requires_grad=True), tokens([4, 5, 1], seed=1, requires_grad=True)
    out = loss(student, teacher)
    assert out.loss.shape == ()
    assert out.loss.dtype == torch.float32
    out.loss.backward()
    assert student.vectors.grad.isfinite().all()
    assert student.vectors.grad.any()
    assert not student.vectors.grad[~student.mask].any()
    for name, value in out.diagnostics.items():
        assert value.shape == (), name
        assert not value.requires_grad, name
        assert value.isfinite(), name


def test_padding_has_no_influence(loss):
    short = loss(tokens([3, 1, 6], seed=0), tokens([4, 5, 1], seed=1))
    long = loss(tokens([3, 1, 6], seed=0, width=20), tokens([4, 5, 1], seed=1, width=9))
    torch.testing.assert_close(short.loss, long.loss, rtol=0, atol=1e-6)


def test_the_order_of_pairs_has_no_influence(loss):
    student, teacher = tokens([3, 1, 6], seed=0), tokens([4, 5, 1], seed=1)
    order = torch.tensor([2, 0, 1])
    moved = [TokenEmbeddings(side.vectors[order], side.mask[order]) for side in (student, teacher)]
    torch.testing.assert_close(loss(student, teacher).loss, loss(*moved).loss, rtol=0, atol=1e-6)


def test_the_loss_is_a_mean_over_pairs_unless_it_is_in_batch(loss):
    student, teacher = tokens([3, 2, 6], seed=0), tokens([4, 5, 2], seed=1)
    whole = loss(student, teacher).loss
    single = [
        loss(*(TokenEmbeddings(s.vectors[i : i + 1], s.mask[i : i + 1]) for s in (student, teacher))).loss
        for i in range(3)
    ]
    averaged = torch.allclose(whole, torch.stack(single).mean(), rtol=0, atol=1e-5)
    assert averaged != loss.in_batch


def test_a_pair_without_tokens_is_finite(loss):
    student, teacher = tokens([3, 0], seed=0, requires_grad=True), tokens([4, 2], seed=1)
    out = loss(student, teacher)
    assert out.loss.isfinite()
    out.loss.backward()
    assert student.vectors.grad.isfinite().all()


def test_it_is_computed_in_float32_under_autocast(loss):
    student, teacher = tokens([3, 1, 6], seed=0), tokens([4, 5, 1], seed=1)
    expected = loss(student, teacher).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(student, teacher).loss, expected)
    halves = [TokenEmbeddings(side.vectors.bfloat16(), side.mask) for side in (student, teacher)]
    assert loss(*halves).loss.dtype == torch.float32


def test_gradient_descent_lowers_it(loss):
    student, teacher = tokens([4, 4, 4], seed=0, requires_grad=True), tokens([4, 4, 4], seed=1)
    leaf = student.vectors
    values = []
    for _ in range(30):
        value = loss(TokenEmbeddings(functional.normalize(leaf, dim=-1), student.mask), teacher).loss
        (gradient,) = torch.autograd.grad(value, leaf)
        leaf = (leaf - 0.5 * gradient).detach().requires_grad_()
        values.append(value.item())
    assert values[-1] < 0.9 * values[0]


def test_its_normal_form_is_the_same_problem(loss):
    """For unit vectors, the loss equals its factor times its normal form, which is its own normal form."""
    student, teacher = tokens([3, 1, 6], seed=0), tokens([4, 5, 1], seed=1)
    factor, canonical = loss.canonical()
    torch.testing.assert_close(loss(student, teacher).loss, factor * canonical(student, teacher).loss)
    assert canonical.canonical() == (1.0, canonical)
