"""Sinkhorn in the scaling domain: batched matrix-vector products with kernels that stay in cache.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens; ``P`` problems of one chunk.

The plan is ``diag(s) K diag(t)`` with ``K = exp((f + g - C) / eps)``; one half step is ``s = a / (K t)``. Four things
make it fast and safe for small ragged batches:

* each product is a row vector times a row-major matrix (K and its transpose are both kept), about twice as fast as
  a matrix times a column;
* problems are sorted by size and cut into chunks whose kernels fit in the processor's cache for all iterations;
* problems that have converged leave their chunk;
* if ``exp(-C / eps)`` would leave the range of the type, the first step is taken in the log domain and the scalings
  are absorbed into ``f`` and ``g`` before they grow. Between two absorptions a half step changes a scaling by at most
  the smallest weight, so this holds for any epsilon; if it fails nevertheless (weights of 1e-30), the problem is
  solved again in the log domain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from optical_ray.ot import log_domain
from optical_ray.ot.problem import Parameters, Solution, update_exponent

CELLS_PER_CHUNK = 2**17
"""Cells of one chunk's kernel on a CPU; with its transpose, 1 MB of float32."""


def solve(
    cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], parameters: Parameters
) -> Solution:
    """Solve every problem to the threshold, without gradients. Each has weight on both sides; all costs are finite.

    Source: Cuturi 2013 (arXiv 1306.0895), algorithm 1; absorption: Schmitzer 2019 (arXiv 1610.06519), algorithm 2.
    """
    if cost.is_cuda or cost.numel() <= CELLS_PER_CHUNK:
        return _solve_chunk(cost, a, b, parameters)
    whole = _unsolved(torch.zeros_like(cost), a, b)
    for members, m, n in _chunks(a, b):
        part = _solve_chunk(cost[members, :m, :n], a[members, :m], b[members, :n], parameters)
        whole.plan[members, :m, :n] = part.plan
        whole.value[members], whole.f[members, :m], whole.g[members, :n] = part.value, part.f, part.g
        whole.residual[members], whole.iterations[members] = part.residual, part.iterations
    return whole


def _unsolved(plan: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> Solution:
    iterations = torch.zeros(len(a), dtype=torch.long, device=a.device)
    zeros = a.new_zeros(len(a))
    return Solution(plan, zeros, torch.zeros_like(a), torch.zeros_like(b), zeros.clone(), iterations)


def _chunks(a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> Iterator[tuple[Int[Tensor, " P"], int, int]]:
    """Indices of problems of similar size, with the numbers of rows and columns that hold all their weights."""
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
    cost: Float[Tensor, "P M N"], a: Float[Tensor, "P M"], b: Float[Tensor, "P N"], parameters: Parameters
) -> Solution:
    """Solve the problems of one chunk."""
    result: Solution | None = None
    state = _State.start(cost, a, b, parameters)
    # without a threshold no check is needed before the end, unless scalings may grow
    every = parameters.check_every if state.needs_absorption or parameters.threshold > 0 else parameters.max_iterations
    iteration = 0
    while True:
        steps = min(every - iteration % every, parameters.max_iterations - iteration)
        iteration += steps
        state.step(steps - 1, parameters)
        state.check(parameters, iteration)
        num_active = int(state.active.sum())
        absorb = num_active > 0 and state.needs_absorption and state.largest_log_scaling() > _exponent(cost.dtype) / 3
        if num_active <= len(state.active) // 4 or absorb:
            part = state.solution(parameters)
            if len(part.plan) == len(cost):
                result = part  # again after each absorption while all problems are active
            else:
                result = result or _unsolved(torch.empty_like(cost), a, b)
                for target, source in zip(result, part, strict=True):
                    target[state.members] = source
            if num_active == 0:
                break
            if num_active < len(state.active):
                state = state.shrink()
        if absorb:
            state.absorb(parameters)
    assert result is not None
    return _repair(result, cost, a, b, parameters)


@dataclass
class _State:
    """Problems that are iterated together. Those that have converged stay until the chunk is shrunk.

    ``members`` (P,): indices in the chunk. ``active`` (P,): not converged at the last check. ``s_out``, ``t_out``,
    ``residual``, ``iterations``: values of each problem at the last check at which it was active. ``needs_absorption``:
    scalings can leave the range of the type.
    """

    members: Int[Tensor, " P"]
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
    residual: Float[Tensor, " P"]
    iterations: Int[Tensor, " P"]
    active: Bool[Tensor, " P"]
    needs_absorption: bool

    @classmethod
    def start(
        cls, cost: Float[Tensor, "P M N"], a: Float[Tensor, "P M"], b: Float[Tensor, "P N"], parameters: Parameters
    ) -> _State:
        a, b = a[:, None, :], b[:, None, :]
        kernel, f, g, needs_absorption = _first_kernel(cost, a, b, parameters)
        members = torch.arange(len(cost), device=cost.device)
        state = cls(
            members=members,
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
            residual=cost.new_zeros(len(cost)),
            iterations=torch.zeros_like(members),
            active=torch.ones_like(members, dtype=torch.bool),
            needs_absorption=needs_absorption,
        )
        if not needs_absorption:  # otherwise the first column step was taken in the log domain
            state.update_columns(parameters)
        return state

    def update_rows(self, parameters: Parameters) -> None:
        torch.bmm(self.t, self.kernel_t, out=self.s)
        _scale(self.s, self.a, self.f, parameters, out=self.s)

    def update_columns(self, parameters: Parameters) -> None:
        torch.bmm(self.s, self.kernel, out=self.t)
        _scale(self.t, self.b, self.g, parameters, out=self.t)

    def step(self, count: int, parameters: Parameters) -> None:
        """Run ``count`` iterations without a check."""
        if parameters.tau is None:  # written out: at this size a function call costs as much as a division
            bmm, div = torch.bmm, torch.div
            a, b, s, t, kernel, kernel_t = self.a, self.b, self.s, self.t, self.kernel, self.kernel_t
            for _ in range(count):
                div(a, bmm(t, kernel_t, out=s), out=s)
                div(b, bmm(s, kernel, out=t), out=t)
        else:
            for _ in range(count):
                self.update_rows(parameters)
                self.update_columns(parameters)

    def check(self, parameters: Parameters, iteration: int) -> None:
        """Run one iteration, measure how much mass its column step moves, and record the state before that step."""
        self.update_rows(parameters)
        sums = torch.bmm(self.s, self.kernel)
        fresh = torch.empty_like(sums)
        _scale(sums, self.b, self.g, parameters, out=fresh)
        residual = (fresh - self.t).mul_(sums).abs_().sum((1, 2))
        if bool(self.active.all()):
            self.s_out.copy_(self.s)
            self.t_out, self.residual = self.t, residual
            self.iterations.fill_(iteration)
        else:
            rows = self.active[:, None, None]
            self.s_out = torch.where(rows, self.s, self.s_out)
            self.t_out = torch.where(rows, self.t, self.t_out)
            self.residual = torch.where(self.active, residual, self.residual)
            self.iterations.masked_fill_(self.active, iteration)
        self.t = fresh
        # a problem that became NaN stops as well: it is repaired at the end
        self.active = (self.residual > parameters.threshold) & self.residual.isfinite()
        if iteration == parameters.max_iterations:
            self.active = torch.zeros_like(self.active)

    def solution(self, parameters: Parameters) -> Solution:
        """The solution at the last check at which each problem was active."""
        plan = (self.kernel * self.s_out.transpose(1, 2)).mul_(self.t_out)
        f = self.f + parameters.epsilon * _log_ratio(self.s_out, self.a)
        g = self.g + parameters.epsilon * _log_ratio(self.t_out, self.b)
        return Solution(plan, (plan * self.cost).sum((1, 2)), f[:, 0], g[:, 0], self.residual, self.iterations)

    def shrink(self) -> _State:
        """Keep the active problems."""
        kept = self.active.nonzero()[:, 0]
        tensors = {x.name: getattr(self, x.name) for x in fields(self) if x.name != "needs_absorption"}
        return _State(
            **{name: tensor[kept] for name, tensor in tensors.items()}, needs_absorption=self.needs_absorption
        )

    def largest_log_scaling(self) -> float:
        """The largest |log| of a scaling."""
        s, t = _log_ratio(self.s, self.a), _log_ratio(self.t, self.b)
        return max(float(s.abs().amax()), float(t.abs().amax()))

    def absorb(self, parameters: Parameters) -> None:
        """Move the scalings into the potentials: K diag(t) with t = b exp(h / eps) is the kernel of g + h."""
        self.f = self.f + parameters.epsilon * _log_ratio(self.s, self.a)
        self.g = self.g + parameters.epsilon * _log_ratio(self.t, self.b)
        self.kernel = _kernel(self.cost, self.f, self.g, parameters.epsilon)
        self.kernel_t = self.kernel.transpose(1, 2).contiguous()
        self.s, self.t = self.a.clone(), self.b.clone()


def _exponent(dtype: torch.dtype) -> float:
    """Largest x for which exp(-x) times a few more factors is a normal number: about 60 in float32."""
    return -0.69 * float(torch.tensor(torch.finfo(dtype).tiny, dtype=torch.float64).log())


def _first_kernel(
    cost: Float[Tensor, "P M N"], a: Float[Tensor, "P 1 M"], b: Float[Tensor, "P 1 N"], parameters: Parameters
) -> tuple[Float[Tensor, "P M N"], Float[Tensor, "P 1 M"], Float[Tensor, "P 1 N"], bool]:
    """First kernel, its potentials, and whether the costs span too much for scaling without absorption."""
    low, high = torch.aminmax(cost)
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    if float(high - low) <= parameters.epsilon * _exponent(cost.dtype):
        return torch.sub(low / parameters.epsilon, cost, alpha=1 / parameters.epsilon).exp_(), f, g + low, False
    scaled = cost / parameters.epsilon
    g = -update_exponent(parameters) * (a.log().transpose(1, 2) - scaled).logsumexp(1, keepdim=True)
    f = -update_exponent(parameters) * (b.log() + g - scaled).logsumexp(2, keepdim=True).transpose(1, 2)
    f, g = parameters.epsilon * f, parameters.epsilon * g
    return _kernel(cost, f, g, parameters.epsilon), f, g, True


def _kernel(
    cost: Float[Tensor, "P M N"], f: Float[Tensor, "P 1 M"], g: Float[Tensor, "P 1 N"], epsilon: float
) -> Float[Tensor, "P M N"]:
    """exp((f + g - C) / eps), clamped against slow denormal numbers and, at padding, against overflow."""
    limit = _exponent(cost.dtype)
    return (f.transpose(1, 2) + g - cost).mul_(1 / epsilon).clamp_(-limit, limit).exp_()


def _scale(
    sums: Float[Tensor, "P 1 Y"],
    weights: Float[Tensor, "P 1 Y"],
    potential: Float[Tensor, "P 1 Y"],
    parameters: Parameters,
    *,
    out: Float[Tensor, "P 1 Y"],
) -> None:
    """Balanced: weights / sums. Unbalanced: weights * sums^-rho * exp(-potential / (tau + eps))."""
    if parameters.tau is None:
        torch.div(weights, sums, out=out)
    else:
        exponent = update_exponent(parameters) * sums.log() + potential / (parameters.tau + parameters.epsilon)
        torch.mul(weights, exponent.neg_().exp_(), out=out)


def _log_ratio(scaling: Float[Tensor, "P 1 L"], weights: Float[Tensor, "P 1 L"]) -> Float[Tensor, "P 1 L"]:
    return torch.where(weights > 0, scaling / weights, 1).log()


def _repair(
    result: Solution,
    cost: Float[Tensor, "P M N"],
    a: Float[Tensor, "P M"],
    b: Float[Tensor, "P N"],
    parameters: Parameters,
) -> Solution:
    """Solve again, in the log domain, the problems that overflowed."""
    broken = (~result.residual.isfinite()).nonzero()[:, 0]
    if len(broken):
        again = log_domain.solve(cost[broken], a[broken], b[broken], parameters)
        if parameters.tau is None:  # cost / epsilon is rounded, by 1e-4 at 2000 in float32: rescale the rows
            plan = again.plan * (a[broken] / again.plan.sum(2).clamp_min(torch.finfo(cost.dtype).tiny))[:, :, None]
            again = again._replace(plan=plan, value=(plan * cost[broken]).sum((1, 2)))
        for field, repaired in zip(result, again, strict=True):
            field[broken] = repaired
    return result
