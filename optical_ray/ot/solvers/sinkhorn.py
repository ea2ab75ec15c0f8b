"""Sinkhorn's algorithm: entropic transport, balanced or unbalanced.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Bool, Float
from torch import Tensor

from optical_ray.ot import entropic
from optical_ray.ot.cost import CostKind
from optical_ray.ot.entropic import EntropicTransport
from optical_ray.ot.solvers.interface import Solver


@dataclass(frozen=True)
class Sinkhorn(Solver):
    """argmin_P <P, C> + epsilon KL(P | a b) over P >= 0 with P 1 = a and P' 1 = b.

    ``epsilon``: entropic regularisation, in units of the cost. ``max_iterations``: each updates both sides.
    ``threshold``: a problem has converged if its L1 marginal error is not above it; the rows hold exactly, the error
    is that of the columns. ``check_every``: iterations between two checks. ``tau``: weight of a KL penalty on both
    marginals in place of the constraints (unbalanced transport), in units of the cost; None keeps the constraints.
    ``gradient``: ``envelope`` treats the plan as constant, which gives the exact gradient of the entropic value at
    convergence; ``unrolled`` differentiates through every iteration.

    If epsilon is too small for ``max_iterations``, ``converged`` is 0 and ``marginal_error`` is large: raise either.
    Raises ``ValueError`` for a value out of range.

    Source: Cuturi 2013 (arXiv 1306.0895); unbalanced: Chizat et al. 2018 (arXiv 1607.05816).

    >>> import torch
    >>> cost = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> half = torch.full((1, 2), 0.5)
    >>> transport = Sinkhorn(epsilon=0.1)(cost, half, half)
    >>> transport.plan.round(decimals=3).tolist()
    [[[0.5, 0.0], [0.0, 0.5]]]
    >>> transport.diagnostics["converged"].tolist()
    [1.0]
    >>> Sinkhorn(epsilon=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: epsilon: must be > 0, got -1.0
    """

    cost_fields: ClassVar[tuple[str, ...]] = ("epsilon", "tau")

    kind: Literal["sinkhorn"] = "sinkhorn"
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

    def __call__(
        self, cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]
    ) -> EntropicTransport:
        return entropic.solve(cost, a, b, self)

    def solve_embeddings(
        self,
        x: Float[Tensor, "B M D"],
        y: Float[Tensor, "B N D"],
        x_mask: Bool[Tensor, "B M"],
        y_mask: Bool[Tensor, "B N"],
        a: Float[Tensor, "B M"],
        b: Float[Tensor, "B N"],
        cost: CostKind,
    ) -> EntropicTransport:
        """As the base class; on a GPU one fused kernel that does not write the cost matrix to memory."""
        return entropic.solve_embeddings(x, y, x_mask, y_mask, a, b, cost, self)
