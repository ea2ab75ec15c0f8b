"""One-sided alignment: each student token distributes its mass over the teacher tokens independently.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch

from optical_ray.losses.interface import Loss, LossOutput
from optical_ray.ot.cost import CostKind, canonical_cost, cost_matrix
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class Softmax(Loss):
    """Mean over pairs of <P, C> with P_ij = softmax_j(-C_ij / temperature) / number of student tokens.

    This is entropic transport without the constraint on the teacher's marginal, so a comparison with
    ``optimal_transport`` at epsilon = temperature measures what that constraint contributes. The plan is constant to
    the gradient. Source: the relaxed word mover's distance, Kusner et al., ICML 2015, section 4, with an entropy.
    """

    kind: Literal["softmax"] = "softmax"
    cost: CostKind = "cosine"
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature: must be > 0, got {self.temperature}")

    def compute(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        x, y = student, teacher
        cost = cost_matrix(x.vectors, y.vectors, x.mask, y.mask, self.cost)
        real = x.mask[:, :, None] & y.mask[:, None, :]
        logits = (-cost.detach() / self.temperature).masked_fill(~y.mask[:, None, :], torch.finfo(cost.dtype).min)
        plan = logits.softmax(-1) * real / x.mask.sum(1).clamp_min(1)[:, None, None]
        value = (plan * cost).sum((1, 2)).mean()
        lengths = y.mask.sum(1).clamp_min(1)[:, None]
        # half the L1 distance between the mass that teacher tokens receive and uniform mass
        unevenness = (plan.sum(1) - y.mask / lengths).abs().sum(1).mean() / 2
        return LossOutput(value, {"softmax/unevenness": unevenness})

    def canonical(self) -> tuple[float, Loss]:
        """Costs that are equal up to a factor become the same cost, at a rescaled temperature."""
        factor, cost = canonical_cost(self.cost)
        return factor, replace(self, cost=cost, temperature=self.temperature / factor)
