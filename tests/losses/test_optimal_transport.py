"""The OPTICAL loss against POT, pair by pair."""

from __future__ import annotations

import ot
import pytest
import torch
from torch.nn import functional

from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.ot.sinkhorn import SinkhornConfig
from optical_ray.retrieval.embeddings import TokenEmbeddings


def tokens(lengths, *, seed, dtype=torch.float32, dim=8):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    vectors = functional.normalize(torch.randn(*mask.shape, dim, generator=generator, dtype=torch.float64), dim=-1)
    return TokenEmbeddings((vectors * mask[:, :, None]).to(dtype), mask)


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_the_loss_is_that_of_pot(epsilon):
    student, teacher = tokens([3, 7, 1], seed=0), tokens([5, 2, 4], seed=1)
    loss = OptimalTransport(sinkhorn=SinkhornConfig(epsilon=epsilon, max_iterations=2000, threshold=1e-7))
    expected = 0.0
    for pair in range(3):
        x = student.vectors[pair][student.mask[pair]].double().numpy()
        y = teacher.vectors[pair][teacher.mask[pair]].double().numpy()
        expected += ot.sinkhorn2([], [], 1 - x @ y.T, epsilon, stopThr=1e-12) / 3
    out = loss(student, teacher)
    assert out.loss.item() == pytest.approx(float(expected), abs=1e-5)
    assert out.diagnostics["ot/converged"] == 1


def test_gradient_pulls_along_the_plan_and_leaves_padding_alone():
    student, teacher = tokens([3, 2], seed=0), tokens([2, 4], seed=1)
    leaf = student.vectors.requires_grad_()
    OptimalTransport()(TokenEmbeddings(leaf, student.mask), teacher).loss.backward()
    assert leaf.grad.isfinite().all()
    assert not leaf.grad[~student.mask].any()
    # the gradient is minus the teacher tokens that the plan assigns: its rows sum to 1 / length / pairs
    assert leaf.grad[student.mask].norm(dim=-1).max() <= 1 / 2 / 2 + 1e-6


def test_transport_is_in_float32_under_autocast_and_for_bfloat16():
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


def test_diagnostics_say_what_did_not_converge():
    student, teacher = tokens([20, 20], seed=0), tokens([20, 20], seed=1)
    out = OptimalTransport(sinkhorn=SinkhornConfig(epsilon=1e-3, max_iterations=5))(student, teacher)
    assert out.diagnostics["ot/converged"] == 0
    assert out.diagnostics["ot/iterations"] == 5
    assert out.diagnostics["ot/marginal_error"] > 1e-3
