"""Entropic optimal transport for a ragged batch: choice of backend, padding, empty problems and gradients.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from optical_ray.ot import log_domain, scaling
from optical_ray.ot.cost import CostKind, bilinear_cost, cost_matrix
from optical_ray.ot.problem import Parameters, Solution
from optical_ray.ot.transport import Transport

Backend = Literal["auto", "scaling", "log", "fused"]


@dataclass(frozen=True, kw_only=True)
class EntropicTransport(Transport):
    """A transport with the dual potentials of the entropic problem.

    ``f`` (B, M) and ``g`` (B, N): P = a b exp((f + g - C) / epsilon), arbitrary at padding. ``a``, ``b``, ``epsilon``
    and ``tau``: the problem. Diagnostics: ``iterations``, ``converged`` (0 or 1) and, for unbalanced transport,
    ``residual``, the mass that the next half-iteration would move.
    """

    f: Float[Tensor, "*B M"]
    g: Float[Tensor, "*B N"]
    a: Float[Tensor, "*B M"]
    b: Float[Tensor, "*B N"]
    epsilon: float
    tau: float | None

    @property
    def entropic_value(self) -> Float[Tensor, "*B"]:
        """The minimised objective: <P, C> + epsilon KL(P | a b), for unbalanced transport
        + tau KL(P 1 | a) + tau KL(P' 1 | b)."""
        # KL(P | a b) = <P, (f + g - C) / epsilon> - |P| + |a| |b| follows from the potentials without a logarithm of P
        rows, columns = self.plan.sum(-1), self.plan.sum(-2)
        relative = (self.f * rows).sum(-1) + (self.g * columns).sum(-1) - self.value
        objective = self.value + relative + self.epsilon * (self.a.sum(-1) * self.b.sum(-1) - rows.sum(-1))
        if self.tau is not None:
            objective = objective + self.tau * (_divergence(rows, self.a) + _divergence(columns, self.b))
        return objective


def solve(
    cost: Float[Tensor, "B M N"],
    a: Float[Tensor, "B M"],
    b: Float[Tensor, "B N"],
    parameters: Parameters,
    *,
    backend: Backend = "auto",
) -> EntropicTransport:
    """Solve each problem with Sinkhorn iterations, columns first, from f = 0: the iterates of POT's ``ot.sinkhorn``.

    ``backend``: ``scaling`` is fast, ``log`` is slow and differentiable, ``fused`` is one kernel on a GPU; ``auto``
    picks one by gradient and device. Raises ``ValueError`` if the named backend cannot solve the problems.
    """
    unrolled = parameters.gradient == "unrolled"
    if unrolled and backend not in ("auto", "log"):
        raise ValueError(f"backend: must be log or auto if gradient is unrolled, got {backend}")
    filled_a, filled_b, empty = fill_empty_problems(a.detach(), b.detach())
    with torch.set_grad_enabled(unrolled and torch.is_grad_enabled()):
        if unrolled or backend == "log":
            solution = log_domain.solve(cost, filled_a, filled_b, parameters)
        elif _uses_fused(a, b, parameters, backend):
            from optical_ray.ot import fused

            solution = fused.solve(cost, filled_a, filled_b, parameters)
        else:
            solution = scaling.solve(cost, filled_a, filled_b, parameters)
        transport = _as_transport(solution, empty, a, b, parameters)
    if unrolled:
        return transport
    return replace(transport, value=_envelope(cost, transport.plan, transport.value))


def solve_embeddings(
    x: Float[Tensor, "B M D"],
    y: Float[Tensor, "B N D"],
    x_mask: Bool[Tensor, "B M"],
    y_mask: Bool[Tensor, "B N"],
    a: Float[Tensor, "B M"],
    b: Float[Tensor, "B N"],
    cost: CostKind,
    parameters: Parameters,
    *,
    backend: Backend = "auto",
) -> EntropicTransport:
    """``solve`` on the costs between ``x`` and ``y``; the value is differentiable with respect to both.

    The fused backend computes costs where they are used and never writes them to memory. The value is then
    <P, C> = sum p_i r_i + sum q_j c_j - scale sum <x_i, (P y)_i>, with r and c the plan's marginals, whose gradient
    needs no cost matrix either.
    """
    if not _uses_fused(a, b, parameters, backend):
        return solve(cost_matrix(x, y, x_mask, y_mask, cost), a, b, parameters, backend=backend)
    if parameters.gradient == "unrolled":
        raise ValueError(f"backend: must be log or auto if gradient is unrolled, got {backend}")
    from optical_ray.ot import fused  # Triton is optional and slow to import

    x, y, p, q, scale = form = bilinear_cost(x, y, x_mask, y_mask, cost)
    filled_a, filled_b, empty = fill_empty_problems(a.detach(), b.detach())
    solution = fused.solve_embeddings(form, filled_a, filled_b, parameters)
    transport = _as_transport(solution, empty, a, b, parameters)
    if not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
        return transport
    plan = transport.plan.to(x.dtype)
    value = (p * plan.sum(2)).sum(1) + (q * plan.sum(1)).sum(1) - scale * (x * torch.bmm(plan, y)).sum((1, 2))
    return replace(transport, value=value)


def _uses_fused(a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], parameters: Parameters, backend: Backend) -> bool:
    """Whether the fused kernel solves this: if it is named, or if tensors are on a GPU and it can."""
    if backend != "auto" or parameters.gradient == "unrolled" or not a.is_cuda:
        return backend == "fused"
    from optical_ray.ot import fused  # Triton is optional and slow to import

    return fused.obstacle(a, b) is None


def fill_empty_problems(
    a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]
) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B N"], Bool[Tensor, " B"] | None]:
    """Give uniform weights to problems without weight on one side, against division by zero.

    The third value marks those problems, or is None if all have weight.
    """
    if min(float(a.sum(1).amin()), float(b.sum(1).amin())) > 0:
        return a, b, None
    empty = ~((a > 0).any(1) & (b > 0).any(1))
    filled_a, filled_b = (torch.where(empty[:, None], 1 / weights.shape[1], weights) for weights in (a, b))
    return filled_a, filled_b, empty


def _as_transport(
    solution: Solution,
    empty: Bool[Tensor, " B"] | None,
    a: Float[Tensor, "B M"],
    b: Float[Tensor, "B N"],
    parameters: Parameters,
) -> EntropicTransport:
    """A backend's solution, with zeros for the problems that were filled."""
    if empty is not None:
        solution = Solution(*(x * ~empty.view(-1, *[1] * (x.ndim - 1)) for x in solution))
    residual = solution.residual.detach()
    is_balanced = parameters.tau is None
    diagnostics = {"iterations": solution.iterations, "converged": (residual <= parameters.threshold).to(a.dtype)}
    return EntropicTransport(
        plan=solution.plan,
        value=solution.value,
        marginal_error=residual if is_balanced else None,
        diagnostics=diagnostics if is_balanced else {**diagnostics, "residual": residual},
        f=solution.f,
        g=solution.g,
        a=a,
        b=b,
        epsilon=parameters.epsilon,
        tau=parameters.tau,
    )


class _Envelope(torch.autograd.Function):
    """<P, C> for a constant P whose value is known; the gradient is P."""

    @staticmethod
    def forward(
        ctx: Any, cost: Float[Tensor, "B M N"], plan: Float[Tensor, "B M N"], value: Float[Tensor, " B"]
    ) -> Float[Tensor, " B"]:
        ctx.save_for_backward(plan)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Float[Tensor, " B"]) -> tuple[Float[Tensor, "B M N"], None, None]:
        (plan,) = ctx.saved_tensors
        return upstream[0][:, None, None] * plan, None, None


def _envelope(
    cost: Float[Tensor, "B M N"], plan: Float[Tensor, "B M N"], value: Float[Tensor, " B"]
) -> Float[Tensor, " B"]:
    result: Tensor = _Envelope.apply(cost, plan, value)  # type: ignore[no-untyped-call]
    return result


def _divergence(x: Float[Tensor, "*B L"], y: Float[Tensor, "*B L"]) -> Float[Tensor, "*B"]:
    """KL(x | y) = sum x log(x / y) - x + y, over the tokens that have weight."""
    both = (x > 0) & (y > 0)
    logs = torch.where(both, x, 1).log() - torch.where(both, y, 1).log()
    return (x * logs - x + y).sum(-1)
