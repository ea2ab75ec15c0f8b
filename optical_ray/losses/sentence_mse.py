"""Sentence-level distillation: the student's mean token is to be where the teacher's is.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from optical_ray.losses.interface import Loss, LossOutput, full_precision
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class SentenceMSE(Loss):
    """Mean over pairs of |mean_i x_i - mean_j y_j|^2, means over real tokens.

    Source: Reimers and Gurevych, EMNLP 2020 (arXiv 2004.09813), equation 1, its second term (the first, on the pivot
    side, is the anchor of the training step); summed, not averaged, over dimensions.
    """

    kind: Literal["sentence_mse"] = "sentence_mse"

    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        with full_precision(student, teacher) as (x, y):
            both = x.mask.any(1) & y.mask.any(1)
            distances = (_mean(x) - _mean(y)).square().sum(-1) * both
        return LossOutput(distances.mean())


def _mean(tokens: TokenEmbeddings) -> Float[Tensor, "B D"]:
    mask = tokens.mask[:, :, None].to(tokens.vectors.dtype)
    return (tokens.vectors * mask).sum(1) / mask.sum(1).clamp_min(1)
