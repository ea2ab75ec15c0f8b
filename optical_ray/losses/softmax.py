"""One-sided alignment: each student token spreads over the teacher tokens, whoever else wants them.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from optical_ray.losses.interface import Loss, LossOutput, full_precision
from optical_ray.ot.cost import CostKind, cost_matrix
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class Softmax(Loss):
    """Mean over pairs of <P, C> with P_ij = softmax_j(-C_ij / temperature) / length of the student side.

    It is entropic transport without the constraint on the teacher's side: what that constraint is worth shows beside
    ``optimal_transport`` at epsilon = temperature. The plan is a constant to the gradient. Source: the relaxed word
    mover's distance, Kusner et al., ICML 2015, section 4, with an entropy.
    """

    kind: Literal["softmax"] = "softmax"
    cost: CostKind = "cosine"
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature: must be > 0, got {self.temperature}")

    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        with full_precision(student, teacher) as (x, y):
            cost = cost_matrix(x.vectors, y.vectors, x.mask, y.mask, self.cost)
            real = x.mask[:, :, None] & y.mask[:, None, :]
            logits = (-cost.detach() / self.temperature).masked_fill(~y.mask[:, None, :], torch.finfo(cost.dtype).min)
            plan = logits.softmax(-1) * real / x.mask.sum(1).clamp_min(1)[:, None, None]
            value = (plan * cost).sum((1, 2)).mean()
            lengths = y.mask.sum(1).clamp_min(1)[:, None]
            # half the L1 distance between what teacher tokens receive and equal shares: 0 where nobody is left out
            unevenness = (plan.sum(1) - y.mask / lengths).abs().sum(1).mean() / 2
        return LossOutput(value, {"softmax/unevenness": unevenness})
