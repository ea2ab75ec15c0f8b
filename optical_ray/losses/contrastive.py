"""Contrastive learning on bitext: a sentence is to score its own translation above those of the rest of the batch.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from optical_ray.losses.interface import Loss, LossOutput, full_precision
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import maxsim


@dataclass(frozen=True)
class Contrastive(Loss):
    """In-batch InfoNCE: mean over pairs of -log softmax_k(s(x_i, y_k) / temperature) at k = i.

    s is MaxSim divided by the number of query tokens, in [-1, 1]. ``directions``: ``both`` averages student sentences
    looking for their teacher sentence and the reverse; ``student`` keeps the first. Pairs with an empty side are left
    out. Source: van den Oord et al. 2018 (arXiv 1807.03748), equation 4, on MaxSim (arXiv 2004.12832).
    """

    in_batch: ClassVar[bool] = True

    kind: Literal["contrastive"] = "contrastive"
    temperature: float = 0.05
    directions: Literal["student", "both"] = "both"

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature: must be > 0, got {self.temperature}")

    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        with full_precision(student, teacher) as (x, y):
            both = x.mask.any(1) & y.mask.any(1)
            x, y = (replace(side, vectors=side.vectors[both], mask=side.mask[both]) for side in (x, y))
            if not both.any():
                return LossOutput(student.vectors.float().sum() * 0)
            forth = _mean_maxsim(x, y) / self.temperature
            own = torch.arange(len(forth), device=forth.device)
            loss = functional.cross_entropy(forth, own)
            if self.directions == "both":
                loss = (loss + functional.cross_entropy(_mean_maxsim(y, x) / self.temperature, own)) / 2
            accuracy = (forth.detach().argmax(1) == own).to(loss.dtype).mean()
        return LossOutput(loss, {"contrastive/accuracy": accuracy})


def _mean_maxsim(queries: TokenEmbeddings, documents: TokenEmbeddings) -> Float[Tensor, "Q K"]:
    return maxsim(queries, documents) / queries.mask.sum(1, keepdim=True)
