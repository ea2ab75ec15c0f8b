"""Sinkhorn against POT, the assignment problem, finite differences, and itself one problem at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import ot
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from optical_ray.ot.entropic import solve
from optical_ray.ot.solvers.sinkhorn import Sinkhorn

SIZES = [(1, 1), (1, 7), (7, 1), (5, 9), (24, 24), (17, 31)]
DTYPES = {torch.float32: 1e-5, torch.float64: 1e-10}


def pot_plan(cost, a, b, epsilon, iterations, stop=0.0):
    plan = ot.bregman.sinkhorn_log(
        a.double().numpy(),
        b.double().numpy(),
        cost.double().numpy(),
        epsilon,
        numItermax=iterations,
        stopThr=stop,
        warn=False,
        warmstart=(a.double().log().numpy(), np.zeros(len(b))),
    )
    return torch.from_numpy(plan)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("backend", ["scaling", "log"])
@pytest.mark.parametrize("epsilon", [1e-3, 0.02, 0.1, 1.0])
def test_each_iterate_of_each_pair_is_that_of_pot(ragged, epsilon, backend, uniform, dtype):
    problems = ragged(SIZES, uniform=uniform)
    for iterations in (1, 7, 60):
        config = Sinkhorn(epsilon=epsilon, max_iterations=iterations, threshold=0.0)
        out = solve(problems.cost.to(dtype), problems.a.to(dtype), problems.b.to(dtype), config, backend=backend)
        for pair, (m, n) in enumerate(SIZES):
            expected = pot_plan(*problems.alone(pair), epsilon, iterations)
            tolerance = max(DTYPES[dtype], 1e-7 / epsilon if dtype == torch.float32 else 0)
            torch.testing.assert_close(out.plan[pair, :m, :n].double(), expected, rtol=0, atol=tolerance)
            assert not out.plan[pair, m:].any()
            assert not out.plan[pair, :, n:].any()


@pytest.mark.parametrize("tau", [0.02, 0.5])
@pytest.mark.parametrize("backend", ["scaling", "log"])
@pytest.mark.parametrize("epsilon", [0.02, 0.3])
def test_unbalanced_is_that_of_pot(ragged, epsilon, backend, tau):
    problems = ragged(SIZES, uniform=False)
    iterations = int(40 * (1 + tau / epsilon))
    config = Sinkhorn(epsilon=epsilon, max_iterations=iterations, threshold=1e-15, tau=tau)
    out = solve(problems.cost, problems.a, problems.b, config, backend=backend)
    for pair, (m, n) in enumerate(SIZES):
        cost, a, b = (x.numpy() for x in problems.alone(pair))
        expected = ot.unbalanced.sinkhorn_knopp_unbalanced(
            a, b, cost, epsilon, tau, numItermax=iterations, stopThr=0, reg_type="kl"
        )
        np.testing.assert_allclose(out.plan[pair, :m, :n].numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("backend", ["scaling", "log"])
@pytest.mark.parametrize("tau", [None, 0.5])
@pytest.mark.parametrize("epsilon", [0.02, 0.1])
def test_a_batch_equals_a_loop(ragged, epsilon, tau, backend):
    problems = ragged(SIZES, seed=3)
    config = Sinkhorn(epsilon=epsilon, max_iterations=400, threshold=1e-4, tau=tau)
    out = solve(problems.cost, problems.a, problems.b, config, backend=backend)
    assert tau or len(set(out.diagnostics["iterations"].tolist())) > 1, (
        "all pairs stop together: the test shows nothing"
    )
    for pair, (m, n) in enumerate(SIZES):
        alone = solve(*(x[None] for x in problems.alone(pair)), config, backend=backend)
        assert alone.diagnostics["iterations"].item() == out.diagnostics["iterations"][pair].item()
        torch.testing.assert_close(out.plan[pair, :m, :n], alone.plan[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(out.entropic_value[pair], alone.entropic_value[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("epsilon", [0.005, 0.1])
@pytest.mark.parametrize("backend", ["scaling", "log"])
def test_inputs_are_not_modified(ragged, epsilon, backend):
    problems = ragged(SIZES * 3, seed=3)
    problems.a[1] = 0
    before = [x.clone() for x in (problems.cost, problems.a, problems.b)]
    solve(problems.cost, problems.a, problems.b, Sinkhorn(epsilon=epsilon, max_iterations=300), backend=backend)
    for old, new in zip(before, (problems.cost, problems.a, problems.b), strict=True):
        assert torch.equal(old, new)


def test_chunks_change_nothing(ragged, monkeypatch):
    problems = ragged(SIZES * 3)
    config = Sinkhorn(epsilon=0.05, threshold=1e-5, max_iterations=300)
    whole = solve(problems.cost, problems.a, problems.b, config)
    monkeypatch.setattr("optical_ray.ot.scaling.CELLS_PER_CHUNK", 500)
    cut = solve(problems.cost, problems.a, problems.b, config)
    assert cut.diagnostics["iterations"].tolist() == whole.diagnostics["iterations"].tolist()
    for name in ("plan", "value", "entropic_value", "marginal_error"):
        torch.testing.assert_close(getattr(cut, name), getattr(whole, name), rtol=0, atol=1e-12)
    for name, weights in (("f", problems.a), ("g", problems.b)):
        torch.testing.assert_close(getattr(cut, name)[weights > 0], getattr(whole, name)[weights > 0])


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=6),
    epsilon=st.sampled_from([1e-3, 0.01, 0.1, 1.0]),
    tau=st.sampled_from([None, 0.05, 1.0]),
    seed=st.integers(0, 1000),
)
@example(sizes=[(3, 3), (1, 1), (1, 1), (1, 6), (20, 1)], epsilon=1e-3, tau=None, seed=1)  # solved in the log domain
def test_float32_holds_its_marginals_and_never_gives_nan(ragged, sizes, epsilon, tau, seed):
    problems = ragged(sizes, seed=seed, uniform=False)
    config = Sinkhorn(epsilon=epsilon, tau=tau)
    out = solve(problems.cost.float(), problems.a.float(), problems.b.float(), config)
    residual = out.marginal_error if tau is None else out.diagnostics["residual"]
    for field in (out.plan, out.value, out.entropic_value, residual, out.f, out.g):
        assert field.isfinite().all()
    if tau is None:
        torch.testing.assert_close(out.plan.sum(2), problems.a.float(), rtol=0, atol=1e-5)
        error = (out.plan.sum(1) - problems.b.float()).abs().sum(1)
        torch.testing.assert_close(out.marginal_error, error, rtol=0, atol=1e-5)
        assert (out.marginal_error[out.diagnostics["converged"].bool()] <= config.threshold).all()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), tau=st.sampled_from([None, 0.2]))
def test_permuting_tokens_permutes_the_plan(ragged, seed, tau):
    problems = ragged([(6, 9), (9, 4)], seed=seed, uniform=False)
    config = Sinkhorn(epsilon=0.05, tau=tau)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(problems.cost.shape[1], generator=generator)
    columns = torch.randperm(problems.cost.shape[2], generator=generator)
    out = solve(problems.cost, problems.a, problems.b, config)
    moved = solve(problems.cost[:, rows][:, :, columns], problems.a[:, rows], problems.b[:, columns], config)
    torch.testing.assert_close(moved.plan, out.plan[:, rows][:, :, columns], rtol=0, atol=1e-12)


def test_small_epsilon_solves_the_assignment_problem(ragged):
    problems = ragged([(8, 8), (12, 12), (5, 5)], seed=5, dim=3)
    out = solve(problems.cost, problems.a, problems.b, Sinkhorn(epsilon=1e-3, max_iterations=20000))
    assert out.diagnostics["converged"].all()
    for pair, (m, _) in enumerate(problems.sizes):
        cost = problems.alone(pair)[0].numpy()
        rows, columns = linear_sum_assignment(cost)
        assert out.value[pair].item() == pytest.approx(cost[rows, columns].sum() / m, abs=2e-3)
        assert out.plan[pair, :m, :m].argmax(1).tolist() == columns.tolist()


@pytest.mark.parametrize("tau", [None, 0.3])
def test_envelope_gradient_is_that_of_the_entropic_value(ragged, tau):
    problems = ragged([(3, 4), (4, 2)], seed=1)
    config = Sinkhorn(epsilon=0.2, max_iterations=2000, threshold=1e-14, tau=tau)

    class Entropic(torch.autograd.Function):
        """The entropic value forwards, the gradient of ``value`` backwards: gradcheck compares the two."""

        @staticmethod
        def forward(ctx, cost):
            with torch.enable_grad():
                leaf = cost.detach().requires_grad_()
                out = solve(leaf, problems.a, problems.b, config)
                (ctx.gradient,) = torch.autograd.grad(out.value.sum(), leaf)
            return out.entropic_value.detach()

        @staticmethod
        def backward(ctx, upstream):
            return ctx.gradient * upstream[:, None, None]

    assert torch.autograd.gradcheck(Entropic.apply, (problems.cost.requires_grad_(),), atol=1e-5)


@pytest.mark.parametrize("tau", [None, 0.3])
def test_unrolled_gradient_is_that_of_the_value(ragged, tau):
    problems = ragged([(3, 4), (4, 2)], seed=1)
    config = Sinkhorn(epsilon=0.2, max_iterations=20, threshold=0.0, tau=tau, gradient="unrolled")

    def value(cost):
        out = solve(cost, problems.a, problems.b, config)
        return out.value, out.entropic_value

    assert torch.autograd.gradcheck(value, (problems.cost.requires_grad_(),), atol=1e-5)


@pytest.mark.parametrize("backend", ["scaling", "log"])
def test_a_problem_without_weight_gets_the_zero_plan(ragged, backend):
    problems = ragged([(4, 5), (3, 3), (2, 5)])
    problems.a[1] = 0
    problems.b[2] = 0
    out = solve(problems.cost, problems.a, problems.b, Sinkhorn(), backend=backend)
    assert not out.plan[1:].any()
    assert out.value[1:].tolist() == out.marginal_error[1:].tolist() == [0.0, 0.0]
    assert out.diagnostics["converged"].all()
    assert out.plan[0].sum().item() == pytest.approx(1)


def test_zero_weights_anywhere_are_padding(ragged):
    problems = ragged([(6, 7)])
    problems.a[0, [1, 4]] = 0
    problems.b[0, 0] = 0
    a, b = problems.a / problems.a.sum(), problems.b / problems.b.sum()
    config = Sinkhorn(epsilon=0.01, max_iterations=500)
    out = solve(problems.cost.float(), a.float(), b.float(), config)
    rows, columns = a[0].nonzero()[:, 0], b[0].nonzero()[:, 0]
    alone = solve(problems.cost[:, rows][:, :, columns].float(), a[:, rows].float(), b[:, columns].float(), config)
    torch.testing.assert_close(out.plan[:, rows][:, :, columns], alone.plan, rtol=0, atol=1e-6)
    assert out.plan.sum().item() == pytest.approx(1, abs=1e-5)
    assert not out.plan[:, [1, 4]].any()
    assert not out.plan[:, :, 0].any()


def test_weights_that_overflow_scalings_are_solved_in_the_log_domain(ragged):
    problems = ragged([(4, 4), (4, 4)])
    problems.a[0] = torch.tensor([1e-30, 1e-25, 0.5, 0.5])
    problems.b[0] = torch.tensor([0.5, 1e-30, 1e-20, 0.5])
    out = solve(problems.cost.float(), problems.a.float(), problems.b.float(), Sinkhorn(epsilon=1e-3))
    assert out.plan.isfinite().all()
    torch.testing.assert_close(out.plan.sum(2), problems.a.float(), rtol=0, atol=1e-4)


def test_an_unconverged_problem_is_reported(ragged):
    problems = ragged([(20, 20)])
    out = solve(problems.cost, problems.a, problems.b, Sinkhorn(epsilon=1e-3, max_iterations=10))
    assert not out.diagnostics["converged"].item()
    assert out.marginal_error.item() > 1e-3
    assert out.diagnostics["iterations"].item() == 10


def test_float32_problems_have_constant_float32_plans(ragged):
    problems = ragged([(5, 6)])
    out = solve(problems.cost.float(), problems.a.float(), problems.b.float(), Sinkhorn())
    assert out.plan.dtype == out.value.dtype == torch.float32
    assert not out.plan.requires_grad


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epsilon", 0.0, "epsilon: must be > 0, got 0.0"),
        ("epsilon", float("nan"), "epsilon: must be > 0, got nan"),
        ("epsilon", float("inf"), "epsilon: must be > 0, got inf"),
        ("max_iterations", 0, "max_iterations: must be >= 1, got 0"),
        ("threshold", -1e-3, "threshold: must be >= 0, got -0.001"),
        ("check_every", 0, "check_every: must be >= 1, got 0"),
        ("tau", 0.0, "tau: must be > 0, or null for balanced transport, got 0.0"),
    ],
)
def test_a_value_out_of_range_is_refused(field, value, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        replace(Sinkhorn(), **{field: value})


@pytest.mark.parametrize("epsilon", [1e-5, 1e-7])
def test_padding_never_takes_mass_in_the_log_domain(ragged, epsilon):
    problems = ragged([(3, 4), (2, 2)])
    problems.cost[1, 2:], problems.cost[1, :, 2:] = 0, 0  # padding that costs less than every real cell
    out = solve(problems.cost, problems.a, problems.b, Sinkhorn(epsilon=epsilon, max_iterations=20), backend="log")
    alone = solve(*(x[None] for x in problems.alone(1)), Sinkhorn(epsilon=epsilon, max_iterations=20), backend="log")
    torch.testing.assert_close(out.plan[1, :2, :2], alone.plan[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(out.plan[1].sum(), torch.tensor(1.0, dtype=torch.float64))


def test_unbalanced_plans_report_a_residual_and_no_marginal_error(ragged):
    problems = ragged([(3, 4)])
    out = solve(problems.cost, problems.a, problems.b, Sinkhorn(tau=0.5))
    assert out.marginal_error is None
    assert out.diagnostics["residual"].shape == (1,)
