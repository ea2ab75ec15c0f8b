"""The fused kernel against the torch backends: interpreted on a CPU, compiled on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from optical_ray.ot.entropic import solve, solve_embeddings
from optical_ray.ot.solvers.sinkhorn import Sinkhorn

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [(1, 1), (1, 7), (9, 1), (5, 9), (17, 20), (2, 2)]


@pytest.fixture
def problems(ragged):
    drawn = ragged(SIZES, uniform=False, seed=4)
    return drawn.cost.float().to(DEVICE), drawn.a.float().to(DEVICE), drawn.b.float().to(DEVICE)


@pytest.fixture
def embeddings(ragged):
    drawn = ragged(SIZES, seed=4)
    a, b = drawn.a.float().to(DEVICE), drawn.b.float().to(DEVICE)
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(*w.shape, 40, generator=generator).to(DEVICE) * (w > 0)[:, :, None] for w in (a, b))
    x, y = (torch.nn.functional.normalize(side, dim=-1) for side in (x, y))
    return x, y, a > 0, b > 0, a, b


@pytest.mark.parametrize("tau", [None, 0.5])
@pytest.mark.parametrize("epsilon", [1e-3, 0.02, 0.2])  # in the log domain, both within one batch, scaling
def test_it_agrees_with_the_torch_backend(problems, epsilon, tau):
    config = Sinkhorn(epsilon=epsilon, tau=tau, max_iterations=23)
    out = solve(*problems, config, backend="fused")
    expected = solve(*problems, config, backend="scaling")
    assert out.diagnostics["iterations"].tolist() == expected.diagnostics["iterations"].tolist()
    tolerance = max(1e-6, 1e-7 / epsilon)
    assert out.diagnostics.keys() == expected.diagnostics.keys()
    if tau is not None:
        residuals = out.diagnostics["residual"], expected.diagnostics["residual"]
        torch.testing.assert_close(*residuals, rtol=0, atol=10 * tolerance)
    for name in ("plan", "value", "marginal_error", "entropic_value"):
        torch.testing.assert_close(getattr(out, name), getattr(expected, name), rtol=0, atol=10 * tolerance)
    assert not out.plan[:, :, :][(problems[1] == 0)[:, :, None].expand_as(out.plan)].any()


@pytest.mark.parametrize("kind", ["cosine", "squared_euclidean", "centred_cosine"])
def test_costs_are_computed_on_chip(embeddings, kind):
    config = Sinkhorn(epsilon=0.1, max_iterations=23)
    values = []
    for backend in ("fused", "scaling"):
        x, y = (side.clone().requires_grad_() for side in embeddings[:2])
        out = solve_embeddings(x, y, *embeddings[2:], kind, config, backend=backend)
        out.value.sum().backward()
        values.append((out.plan, out.value.detach(), x.grad, y.grad))
        assert not out.plan.requires_grad
    for fused, expected in zip(*values, strict=True):
        torch.testing.assert_close(fused, expected, rtol=0, atol=2e-5)


def test_bfloat16_embeddings_give_a_float32_plan(embeddings):
    config = Sinkhorn(epsilon=0.1)
    halves = [side.bfloat16() for side in embeddings[:2]]
    out = solve_embeddings(*halves, *embeddings[2:], "cosine", config, backend="fused")
    expected = solve_embeddings(
        *(side.float() for side in halves), *embeddings[2:], "cosine", config, backend="scaling"
    )
    assert out.plan.dtype == torch.float32
    torch.testing.assert_close(out.plan, expected.plan, rtol=0, atol=1e-6)


def test_a_problem_without_weight_gets_the_zero_plan(problems):
    cost, a, b = (x.clone() for x in problems)
    a[1], b[2] = 0, 0
    out = solve(cost, a, b, Sinkhorn(), backend="fused")
    assert not out.plan[1:3].any()
    assert out.diagnostics["converged"].all()


def test_tiles_too_large_to_scale_work_in_the_log_domain(problems, monkeypatch):
    expected = solve(*problems, Sinkhorn(), backend="scaling")
    monkeypatch.setattr("optical_ray.ot.fused.LARGEST_SCALED_TILE", 1)
    out = solve(*problems, Sinkhorn(), backend="fused")
    torch.testing.assert_close(out.plan, expected.plan, rtol=0, atol=1e-6)


def test_products_too_large_for_registers_are_computed_before(embeddings, monkeypatch):
    expected = solve_embeddings(*embeddings, "cosine", Sinkhorn(), backend="scaling")
    monkeypatch.setattr("optical_ray.ot.fused.LARGEST_PRODUCT_TILE", 1)
    out = solve_embeddings(*embeddings, "cosine", Sinkhorn(), backend="fused")
    torch.testing.assert_close(out.plan, expected.plan, rtol=0, atol=1e-6)


def test_unsupported_problems_are_refused_with_the_reason(problems):
    long = torch.zeros(1, 300, 2, device=DEVICE)
    with pytest.raises(ValueError, match="at most 256 tokens on a side, got 300 x 2"):
        solve(long, long[:, :, 0] + 1, long[:, 0] + 1, Sinkhorn(), backend="fused")
    with pytest.raises(ValueError, match="float64"):
        solve(*(x.double() for x in problems), Sinkhorn(), backend="fused")
    with pytest.raises(ValueError, match="must be log or auto if gradient is unrolled, got fused"):
        solve(*problems, Sinkhorn(gradient="unrolled"), backend="fused")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("length", [16, 33, 64, 128, 180, 256])
def test_on_a_gpu_it_is_the_default_at_any_length(ragged, length):
    drawn = ragged([(length, length), (length // 2, length - 3)])
    cost, a, b = (x.float().cuda() for x in (drawn.cost, drawn.a, drawn.b))
    for epsilon in (0.01, 0.1):
        config = Sinkhorn(epsilon=epsilon)
        out, named = (solve(cost, a, b, config, backend=backend) for backend in ("auto", "fused"))
        assert torch.equal(out.plan, named.plan)
        expected = solve(drawn.cost, drawn.a, drawn.b, config, backend="log")
        torch.testing.assert_close(out.plan.cpu().double(), expected.plan, rtol=0, atol=2e-5)


COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from optical_ray.ot.kernel import solve_problem

floats, whole = {"scale", "epsilon", "rho", "threshold"}, {"m", "n", "d", "max_iterations", "check_every"}
signature = {name: "constexpr" if name.isupper() else "fp32" if name in floats else "i32" if name in whole else "*fp32"
             for name in solve_problem.arg_names} | {"x": "*bf16", "y": "*bf16", "iterations": "*i32"}
for tile_m, tile_n, from_cost in ((64, 64, False), (128, 128, True), (128, 256, False), (256, 256, True)):
    known = {"TILE_M": tile_m, "TILE_N": tile_n, "TILE_D": 32, "FROM_COST": from_cost, "BALANCED": from_cost,
             "MAY_SCALE": tile_m * tile_n <= 128 * 128, "RANGE": 60.0, "LOG_OF_ZERO": -1e5, "PRECISION": "tf32"}
    places = {(solve_problem.arg_names.index(name),): value for name, value in known.items()}
    source = ASTSource(fn=solve_problem, signature=signature, constexprs=places)
    warps = min(16, max(4, tile_m * tile_n // 512))
    triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
print("compiled")
"""


@pytest.mark.slow
def test_it_compiles_without_a_gpu(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment)
    assert done.stdout == "compiled\n", done.stderr
