"""The OPTICAL loss against POT, pair by pair."""

from __future__ import annotations

from dataclasses import replace

import ot
import pytest
import torch

from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.ot.solvers.exact import Exact
from optical_ray.ot.solvers.ipot import Ipot
from optical_ray.ot.solvers.sinkhorn import Sinkhorn
from optical_ray.retrieval.embeddings import TokenEmbeddings


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_the_loss_is_that_of_pot(tokens, epsilon):
    student, teacher = tokens([3, 7, 1], seed=0), tokens([5, 2, 4], seed=1)
    loss = OptimalTransport(solver=Sinkhorn(epsilon=epsilon, max_iterations=2000, threshold=1e-7))
    expected = 0.0
    for pair in range(3):
        x = student.vectors[pair][student.mask[pair]].double().numpy()
        y = teacher.vectors[pair][teacher.mask[pair]].double().numpy()
        expected += ot.sinkhorn2([], [], 1 - x @ y.T, epsilon, stopThr=1e-12) / 3
    out = loss(student, teacher)
    assert out.loss.item() == pytest.approx(float(expected), abs=1e-5)
    assert out.diagnostics["ot/converged"] == 1


def test_the_gradient_follows_the_plan_and_is_zero_at_padding(tokens):
    student, teacher = tokens([3, 2], seed=0), tokens([2, 4], seed=1)
    leaf = student.vectors.requires_grad_()
    OptimalTransport()(TokenEmbeddings(leaf, student.mask), teacher).loss.backward()
    assert leaf.grad.isfinite().all()
    assert not leaf.grad[~student.mask].any()
    # the gradient is minus the teacher tokens that the plan assigns: its rows sum to 1 / length / pairs
    assert leaf.grad[student.mask].norm(dim=-1).max() <= 1 / 2 / 2 + 1e-6


def test_transport_is_in_float32_under_autocast_and_for_bfloat16(tokens):
    student, teacher = tokens([3, 7], seed=0), tokens([5, 2], seed=1)
    expected = OptimalTransport()(student, teacher).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = OptimalTransport()(student, teacher)
    assert out.loss.dtype == torch.float32
    assert torch.equal(out.loss, expected)
    halves = [TokenEmbeddings(side.vectors.bfloat16(), side.mask) for side in (student, teacher)]
    out = OptimalTransport()(*halves)
    assert out.loss.dtype == torch.float32
    assert out.loss.item() == pytest.approx(expected.item(), abs=1e-2)


def test_diagnostics_report_what_did_not_converge(tokens):
    student, teacher = tokens([20, 20], seed=0), tokens([20, 20], seed=1)
    out = OptimalTransport(solver=Sinkhorn(epsilon=1e-3, max_iterations=5))(student, teacher)
    assert out.diagnostics["ot/converged"] == 0
    assert out.diagnostics["ot/iterations"] == 5
    assert out.diagnostics["ot/marginal_error"] > 1e-3


@pytest.mark.parametrize(("marginals", "field"), [("norm", "norms"), ("idf", "idf")])
def test_weights_of_the_embeddings_are_marginals(tokens, marginals, field):
    student, teacher = tokens([3, 4], seed=0), tokens([5, 2], seed=1)
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        replace(side, **{field: torch.rand(side.mask.shape, generator=generator) * 9 * side.mask})
        for side in (student, teacher)
    )
    mass, other = getattr(student, field), getattr(teacher, field)
    mass[1] = 0  # a text without weights has uniform mass
    plan = OptimalTransport(marginals=marginals, solver=Exact()).plan(student, teacher)
    torch.testing.assert_close(plan.sum(2)[0], mass[0] / mass[0].sum())
    torch.testing.assert_close(plan.sum(2)[1], student.mask[1] / 4)
    torch.testing.assert_close(plan.sum(1), other / other.sum(1, keepdim=True))


def test_marginals_without_weights_are_refused(tokens):
    with pytest.raises(ValueError, match=r"marginals: the embeddings have no weights for 'idf'\. Use uniform\."):
        OptimalTransport(marginals="idf")(tokens([3], seed=0), tokens([2], seed=1))


def test_solvers_agree_in_the_limit_without_regularisation(tokens):
    student, teacher = tokens([6, 3], seed=0, dim=3), tokens([6, 3], seed=1, dim=3)
    exact = OptimalTransport(solver=Exact())(student, teacher).loss.item()
    fine = Sinkhorn(epsilon=0.002, max_iterations=20000)
    assert OptimalTransport(solver=fine)(student, teacher).loss.item() == pytest.approx(exact, abs=2e-3)
    many = Ipot(iterations=2000)
    assert OptimalTransport(solver=many)(student, teacher).loss.item() == pytest.approx(exact, abs=2e-3)


def test_squared_euclidean_at_twice_the_epsilon_has_the_plan_of_cosine(tokens):
    student, teacher = tokens([6, 3], seed=0), tokens([4, 5], seed=1)
    cosine = OptimalTransport(solver=Sinkhorn(epsilon=0.1))
    euclidean = OptimalTransport(cost="squared_euclidean", solver=Sinkhorn(epsilon=0.2))
    torch.testing.assert_close(euclidean.plan(student, teacher), cosine.plan(student, teacher), rtol=0, atol=1e-6)
