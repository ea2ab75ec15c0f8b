"""The Triton program of the fused backend: one program per problem, in registers and shared memory.

The sides of a tile are powers of two; rows from ``m`` on and columns from ``n`` on have no weight. Names in capitals
are compile-time constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

try:
    import triton
    import triton.language as tl
except ImportError:  # the functions below are then never launched
    triton = None

Program = TypeVar("Program", bound=Callable[..., Any])


def jit(program: Program) -> Program:
    """``triton.jit`` if Triton is installed, otherwise the function itself."""
    compiled: Program = program if triton is None else triton.jit(program)
    return compiled


def has_triton() -> bool:
    """Whether Triton is installed."""
    return triton is not None


def is_interpreted() -> bool:
    """Whether programs run on the CPU (``TRITON_INTERPRET=1``)."""
    return triton is not None and bool(triton.knobs.runtime.interpret)


@jit
def solve_problem(  # type: ignore[no-untyped-def]
    cost,
    x,
    y,
    p,
    q,
    a,
    b,
    plan,
    value,
    f_out,
    g_out,
    residual,
    iterations,
    m,
    n,
    d,
    scale,
    epsilon,
    rho,
    threshold,
    max_iterations,
    check_every,
    TILE_M: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_D: tl.constexpr,
    FROM_COST: tl.constexpr,
    BALANCED: tl.constexpr,
    MAY_SCALE: tl.constexpr,
    RANGE: tl.constexpr,
    LOG_OF_ZERO: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Solve one problem, from its costs to its plan."""
    problem = tl.program_id(0).to(tl.int64)
    i, j = tl.arange(0, TILE_M), tl.arange(0, TILE_N)
    inside = (i < m)[:, None] & (j < n)[None, :]
    cells = problem * m * n + i[:, None] * n + j[None, :]
    wa = tl.load(a + problem * m + i, mask=i < m, other=0.0)
    wb = tl.load(b + problem * n + j, mask=j < n, other=0.0)
    if FROM_COST:
        tile = tl.load(cost + cells, mask=inside, other=0.0).to(tl.float32)
    else:
        products = tl.zeros((TILE_M, TILE_N), tl.float32)
        for start in range(0, d, TILE_D):
            k = start + tl.arange(0, TILE_D)
            xs = tl.load(
                x + problem * m * d + i[:, None] * d + k[None, :], mask=(i < m)[:, None] & (k < d)[None, :], other=0.0
            )
            ys = tl.load(
                y + problem * n * d + j[None, :] * d + k[:, None], mask=(j < n)[None, :] & (k < d)[:, None], other=0.0
            )
            products = tl.dot(xs.to(tl.float32), ys.to(tl.float32), products, input_precision=PRECISION)
        ps = tl.load(p + problem * m + i, mask=i < m, other=0.0)
        qs = tl.load(q + problem * n + j, mask=j < n, other=0.0)
        tile = ps[:, None] + qs[None, :] - scale * products
    has_weight = (wa > 0)[:, None] & (wb > 0)[None, :]
    z = tl.where(has_weight, -tile / epsilon, 0.0)
    la = tl.where(wa > 0, tl.log(tl.where(wa > 0, wa, 1.0)), LOG_OF_ZERO)
    lb = tl.where(wb > 0, tl.log(tl.where(wb > 0, wb, 1.0)), LOG_OF_ZERO)
    if MAY_SCALE:
        if tl.max(tl.max(tl.abs(z), 1), 0) <= RANGE:
            f, g, residual_mass, done = _scaling_loop(
                tl.exp(z), wa, wb, rho, threshold, max_iterations, check_every, BALANCED
            )
        else:
            f, g, residual_mass, done = _log_loop(z, la, lb, rho, threshold, max_iterations, check_every)  # type: ignore[no-untyped-call]
    else:
        f, g, residual_mass, done = _log_loop(z, la, lb, rho, threshold, max_iterations, check_every)  # type: ignore[no-untyped-call]
    solved = tl.where(has_weight, tl.exp((la + f)[:, None] + (lb + g)[None, :] + z), 0.0)
    tl.store(plan + cells, solved, mask=inside)
    tl.store(value + problem, -epsilon * tl.sum(tl.sum(solved * z, 1), 0))
    tl.store(f_out + problem * m + i, epsilon * f, mask=i < m)
    tl.store(g_out + problem * n + j, epsilon * g, mask=j < n)
    tl.store(residual + problem, residual_mass)
    tl.store(iterations + problem, done)


@jit
def _scaling_loop(  # type: ignore[no-untyped-def]
    kernel,
    a,
    b,
    rho,
    threshold,
    max_iterations,
    check_every,
    BALANCED: tl.constexpr,
):
    """s = a / (K t) and t = b / (K' s), to the power of rho; potentials in units of epsilon."""
    s = a
    t = _scale(b, tl.sum(kernel * s[:, None], 0), rho, BALANCED)
    kept = t
    done = tl.full([], 0, tl.int32)
    residual_mass = tl.full([], 1.0, tl.float32) + threshold
    while (done < max_iterations) & (residual_mass > threshold):
        steps = tl.minimum(check_every, max_iterations - done)
        for _ in range(1, steps):
            s = _scale(a, tl.sum(kernel * t[None, :], 1), rho, BALANCED)
            t = _scale(b, tl.sum(kernel * s[:, None], 0), rho, BALANCED)
        s = _scale(a, tl.sum(kernel * t[None, :], 1), rho, BALANCED)
        sums = tl.sum(kernel * s[:, None], 0)
        kept = t
        t = _scale(b, sums, rho, BALANCED)
        residual_mass = tl.sum(sums * tl.abs(t - kept), 0)
        done += steps
    f = tl.log(tl.where(a > 0, s / tl.where(a > 0, a, 1.0), 1.0))
    g = tl.log(tl.where(b > 0, kept / tl.where(b > 0, b, 1.0), 1.0))
    return f, g, residual_mass, done


@jit
def _scale(weights, sums, rho, BALANCED: tl.constexpr):  # type: ignore[no-untyped-def]
    return weights / sums if BALANCED else weights * tl.exp(-rho * tl.log(sums))


@jit
def _log_loop(z, la, lb, rho, threshold, max_iterations, check_every):  # type: ignore[no-untyped-def]
    """g = -rho lse_i(log a + f + z) and f = -rho lse_j(log b + g + z); potentials in units of epsilon."""
    f = la * 0.0
    g = -rho * _lse(la[:, None] + f[:, None] + z, 0)
    kept = g
    done = tl.full([], 0, tl.int32)
    residual_mass = tl.full([], 1.0, tl.float32) + threshold
    while (done < max_iterations) & (residual_mass > threshold):
        steps = tl.minimum(check_every, max_iterations - done)
        for _ in range(1, steps):
            f = -rho * _lse(lb[None, :] + g[None, :] + z, 1)
            g = -rho * _lse(la[:, None] + f[:, None] + z, 0)
        f = -rho * _lse(lb[None, :] + g[None, :] + z, 1)
        column = _lse(la[:, None] + f[:, None] + z, 0)
        kept = g
        g = -rho * column
        residual_mass = tl.sum(tl.abs(tl.exp(lb + column + g) - tl.exp(lb + column + kept)), 0)
        done += steps
    return f, kept, residual_mass, done


@jit
def _lse(logs, axis: tl.constexpr):  # type: ignore[no-untyped-def]
    highest = tl.max(logs, axis)
    shifted = logs - (highest[None, :] if axis == 0 else highest[:, None])
    return highest + tl.log(tl.sum(tl.exp(shifted), axis))
