"""Sentence-level distillation: match the mean token vectors of student and teacher.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from optical_ray.losses.interface import Loss, LossOutput
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class SentenceMSE(Loss):
    """Mean over pairs of |mean_i x_i - mean_j y_j|^2, with means over real tokens; a pair with an empty side counts 0.

    Source: Reimers and Gurevych, EMNLP 2020 (arXiv 2004.09813), the second term of equation 1 (the anchor of the
    training step is the first), summed instead of averaged over dimensions.
    """

    kind: Literal["sentence_mse"] = "sentence_mse"

    def compute(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        has_tokens = student.mask.any(1) & teacher.mask.any(1)
        distances = (student.mean() - teacher.mean()).square().sum(-1) * has_tokens
        return LossOutput(distances.mean())
