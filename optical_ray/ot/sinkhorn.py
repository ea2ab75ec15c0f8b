"""Entropic optimal transport for a ragged batch of small problems.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from optical_ray.ot import log_domain, scaling
from optical_ray.ot.problem import Solution
from optical_ray.registry import Configurable

Backend = Literal["auto", "scaling", "log", "fused"]


@dataclass(frozen=True)
class SinkhornConfig(Configurable):
    """When to stop, how smooth the plan is, and how gradients flow.

    ``epsilon``: entropic regularisation, in units of the cost. ``max_iterations``: an iteration updates both sides.
    ``threshold``: a pair is done when its L1 marginal error (a share of its mass, when that is 1) is not above it.
    ``check_every``: iterations between two looks at the error. ``tau``: weight of the KL penalty on both marginals
    (unbalanced transport), None for marginals that must hold. ``gradient``: ``envelope`` takes the plan as a constant,
    which is the exact gradient of the entropic value at convergence; ``unrolled`` differentiates every iteration.

    Raises ``ValueError`` for a value out of range.

    >>> SinkhornConfig(epsilon=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: epsilon: must be > 0, got -1.0
    """

    epsilon: float = 0.1
    max_iterations: int = 50
    threshold: float = 1e-3
    check_every: int = 5
    tau: float | None = None
    gradient: Literal["envelope", "unrolled"] = "envelope"

    def __post_init__(self) -> None:
        if not (self.epsilon > 0 and math.isfinite(self.epsilon)):
            raise ValueError(f"epsilon: must be > 0, got {self.epsilon}")
        if self.max_iterations < 1:
            raise ValueError(f"max_iterations: must be >= 1, got {self.max_iterations}")
        if not self.threshold >= 0:
            raise ValueError(f"threshold: must be >= 0, got {self.threshold}")
        if self.check_every < 1:
            raise ValueError(f"check_every: must be >= 1, got {self.check_every}")
        if self.tau is not None and not (self.tau > 0 and math.isfinite(self.tau)):
            raise ValueError(f"tau: must be > 0, or null for balanced transport, got {self.tau}")
        if self.gradient not in ("envelope", "unrolled"):
            raise ValueError(f"gradient: must be envelope or unrolled, got {self.gradient}")


@dataclass(frozen=True)
class SinkhornOutput:
    """The plan of each pair and what one asks about it.

    ``plan`` (B, M, N): zero wherever a weight is zero; a constant to autograd unless the gradient is unrolled.
    ``value`` (B,): <plan, cost>, differentiable in the cost; with a constant plan its gradient is the plan.
    ``marginal_error`` (B,): mass that the next half step would move, which for balanced transport is the L1
    distance of the plan's columns from ``b`` (its rows hold exactly). ``iterations`` (B,). ``converged`` (B,).
    ``f`` (B, M), ``g`` (B, N): potentials, P = a b exp((f + g - C) / eps), meaningless at padding.
    ``a``, ``b``, ``config``: the problem.
    """

    plan: Float[Tensor, "B M N"]
    value: Float[Tensor, " B"]
    marginal_error: Float[Tensor, " B"]
    iterations: Int[Tensor, " B"]
    converged: Bool[Tensor, " B"]
    f: Float[Tensor, "B M"]
    g: Float[Tensor, "B N"]
    a: Float[Tensor, "B M"]
    b: Float[Tensor, "B N"]
    config: SinkhornConfig

    @property
    def entropic_value(self) -> Float[Tensor, " B"]:
        """The objective that was minimised, <P, C> + eps KL(P | a b), and where transport is unbalanced
        + tau KL(P 1 | a) + tau KL(P' 1 | b)."""
        # KL(P | a b) = <P, (f + g - C) / eps> - |P| + |a| |b| is read off the potentials, without a logarithm of P
        rows, columns = self.plan.sum(2), self.plan.sum(1)
        relative = (self.f * rows).sum(1) + (self.g * columns).sum(1) - self.value
        objective = self.value + relative + self.config.epsilon * (self.a.sum(1) * self.b.sum(1) - rows.sum(1))
        if self.config.tau is not None:
            objective = objective + self.config.tau * (_divergence(rows, self.a) + _divergence(columns, self.b))
        return objective


def sinkhorn(
    cost: Float[Tensor, "B M N"],
    a: Float[Tensor, "B M"],
    b: Float[Tensor, "B N"],
    config: SinkhornConfig,
    *,
    backend: Backend = "auto",
) -> SinkhornOutput:
    """Transport plan of every pair: argmin_P <P, C> + eps KL(P | a b) over P >= 0 with P 1 = a and P' 1 = b.

    Weights of zero are padding. A pair gets the plan that it would get alone; one with no weight on a side gets the
    zero plan. Costs must be finite, at padding too. The sequence of iterates (columns first, from f = 0) is that of
    POT's ``ot.sinkhorn``. Where epsilon is too small for ``max_iterations``, ``converged`` is false and
    ``marginal_error`` says by how much: raise either.

    ``backend``: ``scaling`` is fast, ``log`` is slow and differentiable, ``fused`` is one kernel on a GPU; ``auto``
    picks by gradient and device.

    Source: Cuturi 2013 (arXiv 1306.0895); unbalanced: Chizat et al. 2018 (arXiv 1607.05816).

    >>> cost = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> half = torch.full((1, 2), 0.5)
    >>> out = sinkhorn(cost, half, half, SinkhornConfig(epsilon=0.1))
    >>> out.plan.round(decimals=3).tolist()
    [[[0.5, 0.0], [0.0, 0.5]]]
    >>> bool(out.converged)
    True
    """
    unrolled = config.gradient == "unrolled"
    if unrolled and backend not in ("auto", "log"):
        raise ValueError(f"backend: must be log or auto where gradient is unrolled, got {backend}")
    full_a, full_b, empty = fill_empty(a.detach(), b.detach())
    with torch.set_grad_enabled(unrolled and torch.is_grad_enabled()):
        if unrolled or backend == "log":
            solution = log_domain.solve(cost, full_a, full_b, config)
        elif fuses(a, b, config, backend):
            from optical_ray.ot import fused

            solution = fused.solve(cost, full_a, full_b, config)
        else:
            solution = scaling.solve(cost, full_a, full_b, config)
        out = as_output(solution, empty, a, b, config)
    return out if unrolled else replace(out, value=_envelope(cost, out.plan, out.value))


def fuses(a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], config: SinkhornConfig, backend: Backend) -> bool:
    """Whether the fused kernel is to solve this: where it is named, or where it can and the tensors are on a GPU."""
    if backend != "auto" or config.gradient == "unrolled" or not a.is_cuda:
        return backend == "fused"
    from optical_ray.ot import fused  # Triton is optional, and slow to load

    return fused.obstacle(a, b) is None


def fill_empty(
    a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]
) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B N"], Bool[Tensor, " B"] | None]:
    """Weights of one for pairs with an empty side, so that nobody divides zero by zero; which they are, if any."""
    if min(float(a.sum(1).amin()), float(b.sum(1).amin())) > 0:
        return a, b, None
    empty = ~((a > 0).any(1) & (b > 0).any(1))
    full_a, full_b = (torch.where(empty[:, None], 1 / weights.shape[1], weights) for weights in (a, b))
    return full_a, full_b, empty


def as_output(
    solution: Solution,
    empty: Bool[Tensor, " B"] | None,
    a: Float[Tensor, "B M"],
    b: Float[Tensor, "B N"],
    config: SinkhornConfig,
) -> SinkhornOutput:
    """What a solver found, with the pairs that were filled emptied again."""
    if empty is not None:
        solution = Solution(*(x * ~empty.view(-1, *[1] * (x.ndim - 1)) for x in solution))
    return SinkhornOutput(
        plan=solution.plan,
        value=solution.value,
        marginal_error=solution.error,
        iterations=solution.iterations,
        converged=solution.error <= config.threshold,
        f=solution.f,
        g=solution.g,
        a=a,
        b=b,
        config=config,
    )


class _Envelope(torch.autograd.Function):
    """<P, C> with P a constant: its value is known, its gradient is P."""

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


def _divergence(x: Float[Tensor, "B L"], y: Float[Tensor, "B L"]) -> Float[Tensor, " B"]:
    """KL(x | y) = sum x log(x / y) - x + y, over the tokens that have weight."""
    both = (x > 0) & (y > 0)
    logs = torch.where(both, x, 1).log() - torch.where(both, y, 1).log()
    return (x * logs - x + y).sum(1)
