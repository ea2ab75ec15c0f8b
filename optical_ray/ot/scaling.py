"""Sinkhorn in the scaling domain: batched matrix-vector products over kernels that stay in cache.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens; ``P`` pairs of one chunk that still move.

The plan is ``diag(s) K diag(t)`` with ``K = exp((f + g - C) / eps)``; one half step is ``s = a / (K t)``. Four things
make it fast and safe for small ragged batches:

* each product is a row vector times a row-major matrix (K and its transpose are both kept), about twice as fast as
  a matrix times a column;
* pairs are sorted by size and cut into chunks whose kernels fit in the processor's cache for all iterations;
* a pair that has converged leaves its chunk;
* where ``exp(-C / eps)`` would leave the range of the type, the first step is taken in the log domain and the scalings
  are absorbed into ``f`` and ``g`` before they grow. Between two absorptions a half step changes a scaling by at most
  the smallest weight, so this holds for any epsilon; if it fails all the same (weights of 1e-30), the pair is
  solved again in the log domain.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from optical_ray.ot import log_domain
from optical_ray.ot.problem import Solution, Terms, damping

CELLS_PER_CHUNK = 2**18
"""Cells of one kernel that is worked on at a time on a CPU: with its transpose, 2 MB of float32."""


def solve(cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], terms: Terms) -> Solution:
    """Solve every pair to its threshold; no gradients. Each pair has weight on both sides, each cost is finite.

    Source: Cuturi 2013 (arXiv 1306.0895), algorithm 1; absorption: Schmitzer 2019 (arXiv 1610.06519), algorithm 2.
    """
    if cost.is_cuda or cost.numel() <= CELLS_PER_CHUNK:
        return _solve_chunk(cost, a, b, terms)
    whole = _unsolved(torch.zeros_like(cost), a, b)
    for pairs, m, n in _chunks(a, b):
        part = _solve_chunk(cost[pairs, :m, :n], a[pairs, :m], b[pairs, :n], terms)
        whole.plan[pairs, :m, :n] = part.plan
        whole.f[pairs, :m], whole.g[pairs, :n] = part.f, part.g
        whole.error[pairs], whole.iterations[pairs] = part.error, part.iterations
    return whole


def _unsolved(plan: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> Solution:
    iterations = torch.zeros(len(a), dtype=torch.long, device=a.device)
    return Solution(plan, torch.zeros_like(a), torch.zeros_like(b), a.new_zeros(len(a)), iterations)


def _chunks(a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> Iterator[tuple[Int[Tensor, " P"], int, int]]:
    """Pairs of like size, with the extents that hold all their weights."""
    rows, columns = _extents(a), _extents(b)
    order = (rows * columns).argsort(stable=True)
    row_list, column_list = rows[order].tolist(), columns[order].tolist()
    start = 0
    while start < len(order):
        end, m, n = start, 0, 0
        while end < len(order):
            wider = max(m, row_list[end]), max(n, column_list[end])
            if end > start and wider[0] * wider[1] * (end + 1 - start) > CELLS_PER_CHUNK:
                break
            (m, n), end = wider, end + 1
        yield order[start:end], m, n
        start = end


def _extents(weights: Float[Tensor, "B L"]) -> Int[Tensor, " B"]:
    positions = torch.arange(1, weights.shape[1] + 1, device=weights.device)
    return ((weights > 0) * positions).amax(1)


def _solve_chunk(
    cost: Float[Tensor, "P M N"], a: Float[Tensor, "P M"], b: Float[Tensor, "P N"], terms: Terms
) -> Solution:
    """One chunk from the first to the last iteration."""
    result = _unsolved(cost, a, b)
    whole = (cost, a, b)
    plan: Tensor | None = None
    pairs: Tensor | None = None  # None: all of the chunk
    a, b = a[:, None, :], b[:, None, :]
    f, g, wide = _start(cost, a, b, terms)
    kernel = _kernel(cost, f, g, terms.epsilon)
    kernel_t = kernel.transpose(1, 2).contiguous()
    s, t, fresh = a.clone(), b.clone(), torch.empty_like(b)
    if not wide:
        _half_step(s, kernel, b, g, terms, out=t)
    # without a threshold there is nothing to look at before the end, unless scalings may grow
    every = terms.check_every if wide or terms.threshold > 0 else terms.max_iterations
    for iteration in range(1, terms.max_iterations + 1):
        _half_step(t, kernel_t, a, f, terms, out=s)
        if iteration % every and iteration < terms.max_iterations:
            _half_step(s, kernel, b, g, terms, out=t)
            continue
        sums = torch.bmm(s, kernel)
        _update(sums, b, g, terms, out=fresh)
        error = (sums * (fresh - t)).abs().sum((1, 2))
        moving = error > terms.threshold if iteration < terms.max_iterations else torch.zeros_like(error).bool()
        going_on = moving.nonzero()[:, 0]
        if len(going_on) < len(moving):
            done = (~moving).nonzero()[:, 0] if len(going_on) else slice(None)
            ids = done if pairs is None else pairs[done]
            s_done, t_done = s[done], t[done]
            finished = (kernel[done] * s_done.transpose(1, 2)).mul_(t_done)
            if plan is None:
                plan = finished if len(finished) == len(result.plan) else torch.zeros_like(cost)
            if plan is not finished:
                plan[ids] = finished
            result.f[ids] = (f[done] + terms.epsilon * _log_ratio(s_done, a[done]))[:, 0]
            result.g[ids] = (g[done] + terms.epsilon * _log_ratio(t_done, b[done]))[:, 0]
            result.error[ids], result.iterations[ids] = error[done], iteration
            if len(going_on) == 0:
                break
            pairs = going_on if pairs is None else pairs[going_on]
            cost, a, b, f, g = cost[going_on], a[going_on], b[going_on], f[going_on], g[going_on]
            kernel, kernel_t = kernel[going_on], kernel_t[going_on]
            s, t, fresh = s[going_on], t[going_on], fresh[going_on]
        t, fresh = fresh, t
        if wide:
            grown_s, grown_t = _log_ratio(s, a), _log_ratio(t, b)
            if max(float(grown_s.abs().amax()), float(grown_t.abs().amax())) > _exponent(a.dtype) / 3:
                f, g = f + terms.epsilon * grown_s, g + terms.epsilon * grown_t
                kernel = _kernel(cost, f, g, terms.epsilon)
                kernel_t = kernel.transpose(1, 2).contiguous()
                s, t = a.clone(), b.clone()
    assert plan is not None
    return _repair(result._replace(plan=plan), *whole, terms)


def _exponent(dtype: torch.dtype) -> float:
    """The x up to which exp(-x) and a few factors beside it stay normal numbers: about 60 in float32."""
    return -0.69 * float(torch.tensor(torch.finfo(dtype).tiny, dtype=torch.float64).log())


def _start(
    cost: Float[Tensor, "P M N"], a: Float[Tensor, "P 1 M"], b: Float[Tensor, "P 1 N"], terms: Terms
) -> tuple[Float[Tensor, "P 1 M"], Float[Tensor, "P 1 N"], bool]:
    """First potentials, and whether the costs span too much for plain scaling."""
    low, high = (float(bound) for bound in torch.aminmax(cost))
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    if (high - low) / terms.epsilon <= _exponent(cost.dtype):
        return f, g + low, False
    scaled = cost / terms.epsilon
    g = -damping(terms) * (a.log().transpose(1, 2) - scaled).logsumexp(1, keepdim=True)
    f = -damping(terms) * (b.log() + g - scaled).logsumexp(2, keepdim=True).transpose(1, 2)
    return terms.epsilon * f, terms.epsilon * g, True


def _kernel(
    cost: Float[Tensor, "P M N"], f: Float[Tensor, "P 1 M"], g: Float[Tensor, "P 1 N"], epsilon: float
) -> Float[Tensor, "P M N"]:
    """exp((f + g - C) / eps), kept above denormal numbers (they are slow) and, at padding, from overflow."""
    limit = _exponent(cost.dtype)
    return (f.transpose(1, 2) + g - cost).mul_(1 / epsilon).clamp_(-limit, limit).exp_()


def _half_step(
    scaling: Float[Tensor, "P 1 X"],
    kernel: Float[Tensor, "P X Y"],
    weights: Float[Tensor, "P 1 Y"],
    potential: Float[Tensor, "P 1 Y"],
    terms: Terms,
    *,
    out: Float[Tensor, "P 1 Y"],
) -> None:
    torch.bmm(scaling, kernel, out=out)
    _update(out, weights, potential, terms, out=out)


def _update(
    sums: Float[Tensor, "P 1 Y"],
    weights: Float[Tensor, "P 1 Y"],
    potential: Float[Tensor, "P 1 Y"],
    terms: Terms,
    *,
    out: Float[Tensor, "P 1 Y"],
) -> None:
    """Balanced: weights / sums. Else weights * sums^-rho * exp(-potential / (tau + eps)): the potential is in K."""
    if terms.tau is None:
        torch.div(weights, sums, out=out)
    else:
        exponent = damping(terms) * sums.log() + potential / (terms.tau + terms.epsilon)
        torch.mul(weights, exponent.neg_().exp_(), out=out)


def _log_ratio(scaling: Float[Tensor, "P 1 L"], weights: Float[Tensor, "P 1 L"]) -> Float[Tensor, "P 1 L"]:
    return torch.where(weights > 0, scaling / weights, 1).log()


def _repair(
    result: Solution, cost: Float[Tensor, "P M N"], a: Float[Tensor, "P M"], b: Float[Tensor, "P N"], terms: Terms
) -> Solution:
    """Solve again, in the log domain, the pairs whose numbers left the range of their type."""
    broken = (~result.error.isfinite()).nonzero()[:, 0]
    if len(broken):
        again = log_domain.solve(cost[broken], a[broken], b[broken], terms)
        for field, repaired in zip(result, again, strict=True):
            field[broken] = repaired
    return result
