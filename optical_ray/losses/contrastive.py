"""Contrastive learning on bitext: a sentence scores its own translation above the other sentences of the batch.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional

from optical_ray.losses.interface import Loss, LossOutput
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import mean_maxsim

SAME_TEXT = 1e-3
"""Two pivot sentences whose mean vectors differ by less than this in every dimension are the same text."""


@dataclass(frozen=True)
class Contrastive(Loss):
    """In-batch InfoNCE: mean over pairs of -log softmax_k(s(x_i, y_k) / temperature) at k = i.

    s is MaxSim divided by the number of query tokens, in [-1, 1]. ``directions``: ``student`` searches the teacher's
    sentences for each student sentence; ``both`` averages this and the reverse. Pairs of the same pivot sentence are
    not negatives of each other, and pairs with an empty side are left out. Source: van den Oord et al. 2018 (arXiv
    1807.03748), equation 4, on MaxSim (arXiv 2004.12832).
    """

    in_batch: ClassVar[bool] = True

    kind: Literal["contrastive"] = "contrastive"
    temperature: float = 0.05
    directions: Literal["student", "both"] = "both"

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature: must be > 0, got {self.temperature}")

    def compute(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        has_tokens = student.mask.any(1) & teacher.mask.any(1)
        if not has_tokens.any():
            return LossOutput(student.vectors.sum() * 0)
        x, y = (side.each(lambda array: array[has_tokens]) for side in (student, teacher))
        own = torch.arange(len(x.vectors), device=x.vectors.device)
        repeated = _same_text(y) & (own[:, None] != own)
        logits = (mean_maxsim(x, y) / self.temperature).masked_fill(repeated, -torch.inf)
        loss = functional.cross_entropy(logits, own)
        if self.directions == "both":
            reverse = (mean_maxsim(y, x) / self.temperature).masked_fill(repeated, -torch.inf)
            loss = (loss + functional.cross_entropy(reverse, own)) / 2
        accuracy = (logits.detach().argmax(1) == own).to(loss.dtype).mean()
        return LossOutput(loss, {"contrastive/accuracy": accuracy})


def _same_text(pivot: TokenEmbeddings) -> Bool[Tensor, "B B"]:
    """Which pivot sentences of the batch are the same, judged by their embeddings."""
    means, lengths = pivot.mean().detach(), pivot.mask.sum(1)
    close = (means[:, None] - means).abs().amax(-1) < SAME_TEXT
    return close & (lengths[:, None] == lengths)
