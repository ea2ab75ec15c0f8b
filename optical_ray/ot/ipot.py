"""Inexact proximal point iterations: unregularised transport, approached by sharpening a plan step by step.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from optical_ray.registry import Configurable

NEGLIGIBLE = {torch.float32: 1e-30, torch.float64: 1e-280}
"""Mass below which a cell is empty: it would soon be a denormal number, and those are slow."""

SPAN = 60.0
"""Costs that span more than this many betas are worked on in float64."""


@dataclass(frozen=True)
class IpotConfig(Configurable):
    """When to stop and how bold to be.

    ``beta``: step size, in units of the cost, >= 0.01; the smaller, the bolder. ``iterations``: steps.
    ``inner_iterations``: scalings per step (k of the paper).

    The defaults are those of LightningDOT. Raises ``ValueError`` for a value out of range.
    """

    beta: float = 0.5
    iterations: int = 50
    inner_iterations: int = 1

    def __post_init__(self) -> None:
        if not (self.beta >= 0.01 and math.isfinite(self.beta)):
            raise ValueError(f"beta: must be >= 0.01, got {self.beta}")
        for name in ("iterations", "inner_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be >= 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class IpotOutput:
    """``plan`` (B, M, N), a constant; ``value`` (B,) = <plan, cost>, differentiable in the cost;
    ``marginal_error`` (B,), the L1 distance of the plan's rows from ``a`` (its columns hold)."""

    plan: Float[Tensor, "B M N"]
    value: Float[Tensor, " B"]
    marginal_error: Float[Tensor, " B"]


def ipot(
    cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], config: IpotConfig
) -> IpotOutput:
    """Proximal steps P <- argmin <P, C> + beta KL(P | P_previous), each solved by a few scalings.

    Q = exp(-C / beta) P; s = a / (Q t), t = b / (Q' s); P = diag(s) Q diag(t). Weights of zero are padding; a pair
    with no weight on a side gets the zero plan. Source: Xie et al., UAI 2019 (arXiv 1802.04307), algorithm 1; as a
    loss on token embeddings: Sun et al., NAACL 2021 (LightningDOT, arXiv 2103.08784).

    >>> cost = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> half = torch.full((1, 2), 0.5)
    >>> ipot(cost, half, half, IpotConfig()).plan.round(decimals=3).tolist()
    [[[0.5, 0.0], [0.0, 0.5]]]
    """
    with torch.no_grad():
        empty = ~((a > 0).any(1) & (b > 0).any(1))
        low, high = torch.aminmax(cost)
        dtype = torch.float64 if float(high - low) / config.beta > SPAN else cost.dtype
        rows, columns = (torch.where(empty[:, None], 1 / w.shape[1], w).to(dtype)[:, None, :] for w in (a, b))
        real = rows.transpose(1, 2) * columns > 0
        gibbs = ((low - cost.detach()).to(dtype) / config.beta).exp()
        plan, t = torch.ones_like(gibbs), columns.clone()
        for _ in range(config.iterations):
            q = functional.threshold(gibbs * plan, NEGLIGIBLE[dtype], 0.0)
            for _ in range(config.inner_iterations):
                s = rows / torch.bmm(t, q.transpose(1, 2))
                t = columns / torch.bmm(s, q)
            # padding stays at one, so that its sums divide zero and never are zero
            plan = torch.where(real, q * s.transpose(1, 2) * t, 1.0)
        plan = (plan * (real & ~empty[:, None, None])).to(cost.dtype)
    error = (plan.sum(2) - torch.where(empty[:, None], 0, a)).abs().sum(1)
    return IpotOutput(plan, (plan * cost).sum((1, 2)), error)
