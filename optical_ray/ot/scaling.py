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
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from optical_ray.ot import log_domain
from optical_ray.ot.problem import Solution, Terms, damping

CELLS_PER_CHUNK = 2**17
"""Cells of one kernel that is worked on at a time on a CPU: with its transpose, 1 MB of float32."""


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
        whole.value[pairs], whole.f[pairs, :m], whole.g[pairs, :n] = part.value, part.f, part.g
        whole.error[pairs], whole.iterations[pairs] = part.error, part.iterations
    return whole


def _unsolved(plan: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> Solution:
    iterations = torch.zeros(len(a), dtype=torch.long, device=a.device)
    zeros = a.new_zeros(len(a))
    return Solution(plan, zeros, torch.zeros_like(a), torch.zeros_like(b), zeros.clone(), iterations)


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
    result: Solution | None = None
    state = _State.start(cost, a, b, terms)
    # without a threshold there is nothing to look at before the end, unless scalings may grow
    every = terms.check_every if state.wide or terms.threshold > 0 else terms.max_iterations
    iteration = 0
    while True:
        steps = min(every - iteration % every, terms.max_iterations - iteration)
        iteration += steps
        state.step(steps - 1, terms)
        state.look(terms, iteration)
        num_moving = int(state.moving.sum())
        absorb = num_moving > 0 and state.wide and state.grown() > _exponent(cost.dtype) / 3
        if num_moving <= len(state.moving) // 4 or absorb:
            part = state.solution(terms)
            if len(part.plan) == len(cost):
                result = part  # anew, where scalings were absorbed while all pairs moved
            else:
                result = result or _unsolved(torch.empty_like(cost), a, b)
                for whole, some in zip(result, part, strict=True):
                    whole[state.pairs] = some
            if num_moving == 0:
                break
            if num_moving < len(state.moving):
                state = state.shrink()
        if absorb:
            state.absorb(terms)
    assert result is not None
    return _repair(result, cost, a, b, terms)


@dataclass
class _State:
    """Pairs that are worked on together, those that have converged included until there is reason to part.

    ``moving`` (P,): not converged at the last look. ``s_out``, ``t_out``, ``error``, ``iterations``: what each pair had
    at the last look at which it moved.
    """

    pairs: Int[Tensor, " P"]
    cost: Float[Tensor, "P M N"]
    a: Float[Tensor, "P 1 M"]
    b: Float[Tensor, "P 1 N"]
    f: Float[Tensor, "P 1 M"]
    g: Float[Tensor, "P 1 N"]
    kernel: Float[Tensor, "P M N"]
    kernel_t: Float[Tensor, "P N M"]
    s: Float[Tensor, "P 1 M"]
    t: Float[Tensor, "P 1 N"]
    s_out: Float[Tensor, "P 1 M"]
    t_out: Float[Tensor, "P 1 N"]
    error: Float[Tensor, " P"]
    iterations: Int[Tensor, " P"]
    moving: Bool[Tensor, " P"]
    wide: bool

    @classmethod
    def start(
        cls, cost: Float[Tensor, "P M N"], a: Float[Tensor, "P M"], b: Float[Tensor, "P N"], terms: Terms
    ) -> _State:
        a, b = a[:, None, :], b[:, None, :]
        kernel, f, g, wide = _first_kernel(cost, a, b, terms)
        pairs = torch.arange(len(cost), device=cost.device)
        state = cls(
            pairs=pairs,
            cost=cost,
            a=a,
            b=b,
            f=f,
            g=g,
            kernel=kernel,
            kernel_t=kernel.transpose(1, 2).contiguous(),
            s=a.clone(),
            t=b.clone(),
            s_out=a.clone(),
            t_out=b.clone(),
            error=cost.new_zeros(len(cost)),
            iterations=torch.zeros_like(pairs),
            moving=torch.ones_like(pairs, dtype=torch.bool),
            wide=wide,
        )
        if not wide:  # else the first step of the columns has been taken in the log domain
            state.update_columns(terms)
        return state

    def update_rows(self, terms: Terms) -> None:
        torch.bmm(self.t, self.kernel_t, out=self.s)
        _scale(self.s, self.a, self.f, terms, out=self.s)

    def update_columns(self, terms: Terms) -> None:
        torch.bmm(self.s, self.kernel, out=self.t)
        _scale(self.t, self.b, self.g, terms, out=self.t)

    def step(self, count: int, terms: Terms) -> None:
        """``count`` iterations without a look."""
        if terms.tau is None:  # spelled out: at this size a call costs as much as a division
            bmm, div = torch.bmm, torch.div
            a, b, s, t, kernel, kernel_t = self.a, self.b, self.s, self.t, self.kernel, self.kernel_t
            for _ in range(count):
                div(a, bmm(t, kernel_t, out=s), out=s)
                div(b, bmm(s, kernel, out=t), out=t)
        else:
            for _ in range(count):
                self.update_rows(terms)
                self.update_columns(terms)

    def look(self, terms: Terms, iteration: int) -> None:
        """One iteration that sees how much its column step moves, and keeps what pairs had before that."""
        self.update_rows(terms)
        sums = torch.bmm(self.s, self.kernel)
        fresh = torch.empty_like(sums)
        _scale(sums, self.b, self.g, terms, out=fresh)
        error = (fresh - self.t).mul_(sums).abs_().sum((1, 2))
        if bool(self.moving.all()):
            self.s_out.copy_(self.s)
            self.t_out, self.error = self.t, error
            self.iterations.fill_(iteration)
        else:
            rows = self.moving[:, None, None]
            self.s_out = torch.where(rows, self.s, self.s_out)
            self.t_out = torch.where(rows, self.t, self.t_out)
            self.error = torch.where(self.moving, error, self.error)
            self.iterations.masked_fill_(self.moving, iteration)
        self.t = fresh
        # a pair that is not a number any more is not moving either: it is repaired at the end
        self.moving = (self.error > terms.threshold) & self.error.isfinite()
        if iteration == terms.max_iterations:
            self.moving = torch.zeros_like(self.moving)

    def solution(self, terms: Terms) -> Solution:
        """What the pairs had at the last look at which they moved."""
        plan = (self.kernel * self.s_out.transpose(1, 2)).mul_(self.t_out)
        f = self.f + terms.epsilon * _log_ratio(self.s_out, self.a)
        g = self.g + terms.epsilon * _log_ratio(self.t_out, self.b)
        return Solution(plan, (plan * self.cost).sum((1, 2)), f[:, 0], g[:, 0], self.error, self.iterations)

    def shrink(self) -> _State:
        """Only those that move."""
        kept = self.moving.nonzero()[:, 0]
        tensors = {x.name: getattr(self, x.name) for x in fields(self) if x.name != "wide"}
        return _State(**{name: tensor[kept] for name, tensor in tensors.items()}, wide=self.wide)

    def grown(self) -> float:
        """The largest |log| of a scaling."""
        s, t = _log_ratio(self.s, self.a), _log_ratio(self.t, self.b)
        return max(float(s.abs().amax()), float(t.abs().amax()))

    def absorb(self, terms: Terms) -> None:
        """Move the scalings into the potentials: K diag(t) with t = b exp(h / eps) is a kernel with g + h."""
        self.f = self.f + terms.epsilon * _log_ratio(self.s, self.a)
        self.g = self.g + terms.epsilon * _log_ratio(self.t, self.b)
        self.kernel = _kernel(self.cost, self.f, self.g, terms.epsilon)
        self.kernel_t = self.kernel.transpose(1, 2).contiguous()
        self.s, self.t = self.a.clone(), self.b.clone()


def _exponent(dtype: torch.dtype) -> float:
    """The x up to which exp(-x) and a few factors beside it stay normal numbers: about 60 in float32."""
    return -0.69 * float(torch.tensor(torch.finfo(dtype).tiny, dtype=torch.float64).log())


def _first_kernel(
    cost: Float[Tensor, "P M N"], a: Float[Tensor, "P 1 M"], b: Float[Tensor, "P 1 N"], terms: Terms
) -> tuple[Float[Tensor, "P M N"], Float[Tensor, "P 1 M"], Float[Tensor, "P 1 N"], bool]:
    """First kernel, its potentials, and whether the costs span too much for plain scaling."""
    low, high = torch.aminmax(cost)
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    if float(high - low) <= terms.epsilon * _exponent(cost.dtype):
        return torch.sub(low / terms.epsilon, cost, alpha=1 / terms.epsilon).exp_(), f, g + low, False
    scaled = cost / terms.epsilon
    g = -damping(terms) * (a.log().transpose(1, 2) - scaled).logsumexp(1, keepdim=True)
    f = -damping(terms) * (b.log() + g - scaled).logsumexp(2, keepdim=True).transpose(1, 2)
    f, g = terms.epsilon * f, terms.epsilon * g
    return _kernel(cost, f, g, terms.epsilon), f, g, True


def _kernel(
    cost: Float[Tensor, "P M N"], f: Float[Tensor, "P 1 M"], g: Float[Tensor, "P 1 N"], epsilon: float
) -> Float[Tensor, "P M N"]:
    """exp((f + g - C) / eps), kept above denormal numbers (they are slow) and, at padding, from overflow."""
    limit = _exponent(cost.dtype)
    return (f.transpose(1, 2) + g - cost).mul_(1 / epsilon).clamp_(-limit, limit).exp_()


def _scale(
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
        if terms.tau is None:  # there costs over epsilon are rounded, by 1e-4 at 2000 in float32: rows are set right
            plan = again.plan * (a[broken] / again.plan.sum(2).clamp_min(torch.finfo(cost.dtype).tiny))[:, :, None]
            again = again._replace(plan=plan, value=(plan * cost[broken]).sum((1, 2)))
        for field, repaired in zip(result, again, strict=True):
            field[broken] = repaired
    return result
