"""Inexact proximal point iterations: unregularised transport as the limit of increasingly sharp plans.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from optical_ray.ot.solvers.interface import Solver
from optical_ray.ot.transport import Transport

NEGLIGIBLE = {torch.float32: 1e-30, torch.float64: 1e-280}
"""Mass below which a cell is set to zero, because denormal numbers are slow."""

LARGEST_FLOAT32_EXPONENT = 60.0
"""Costs that span more than this many betas are processed in float64."""


@dataclass(frozen=True)
class Ipot(Solver):
    """Proximal steps P <- argmin <P, C> + beta KL(P | P_previous), each solved by a few Sinkhorn scalings.

    Q = exp(-C / beta) P; s = a / (Q t), t = b / (Q' s); P = diag(s) Q diag(t). ``beta``: step size in units of the
    cost, >= 0.01; smaller values take larger steps. ``iterations``: number of steps. ``inner_iterations``: scalings
    per step (k in the paper). The defaults are those of LightningDOT. Raises ``ValueError`` for a value out of range.

    Source: Xie et al., UAI 2019 (arXiv 1802.04307), algorithm 1; as a loss on token embeddings: Sun et al., NAACL
    2021 (LightningDOT, arXiv 2103.08784).

    >>> cost = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> half = torch.full((1, 2), 0.5)
    >>> Ipot()(cost, half, half).plan.round(decimals=3).tolist()
    [[[0.5, 0.0], [0.0, 0.5]]]
    """

    cost_fields: ClassVar[tuple[str, ...]] = ("beta",)

    kind: Literal["ipot"] = "ipot"
    beta: float = 0.5
    iterations: int = 50
    inner_iterations: int = 1

    def __post_init__(self) -> None:
        if not (self.beta >= 0.01 and math.isfinite(self.beta)):
            raise ValueError(f"beta: must be >= 0.01, got {self.beta}")
        for name in ("iterations", "inner_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be >= 1, got {getattr(self, name)}")

    @torch.no_grad()
    def _plan(
        self, cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]
    ) -> Float[Tensor, "B M N"]:
        empty = ~((a > 0).any(1) & (b > 0).any(1))
        low, high = torch.aminmax(cost)
        dtype = torch.float64 if float(high - low) / self.beta > LARGEST_FLOAT32_EXPONENT else cost.dtype
        # empty problems get uniform weights, so that no sum is zero
        rows, columns = (torch.where(empty[:, None], 1 / w.shape[1], w).to(dtype)[:, None, :] for w in (a, b))
        has_weight = rows.transpose(1, 2) * columns > 0
        gibbs = ((low - cost).to(dtype) / self.beta).exp()
        plan, t = torch.ones_like(gibbs), columns.clone()
        for _ in range(self.iterations):
            q = functional.threshold(gibbs * plan, NEGLIGIBLE[dtype], 0.0)
            for _ in range(self.inner_iterations):
                s = rows / torch.bmm(t, q.transpose(1, 2))
                t = columns / torch.bmm(s, q)
            # padding stays at one: its sums are divisors and must not become zero
            plan = torch.where(has_weight, q * s.transpose(1, 2) * t, 1.0)
        return plan.to(cost.dtype)

    def __call__(self, cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> Transport:
        return Transport.from_plan(self._plan(cost.detach(), a.detach(), b.detach()), cost, a, b)
