"""Relevance distillation: the student ranks the pivot sentences of the batch as the teacher does.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch.nn import functional

from optical_ray.losses.interface import Loss, LossOutput
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import mean_maxsim


@dataclass(frozen=True)
class RelevanceKL(Loss):
    """Mean over pairs of KL(softmax_k(s(y_i, y_k) / T) | softmax_k(s(x_i, y_k) / T)).

    s is MaxSim divided by the number of query tokens. The documents are the teacher's sentences y_k; the target ranks
    them for the teacher's sentence y_i, the prediction for its translation x_i. Pairs with an empty side are left
    out. Source: the relevance objective of Li et al., NAACL 2022 (Dr.DECR, arXiv 2112.08185), with the batch as
    documents as in Hofstätter et al., SIGIR 2021 (TAS-B, arXiv 2104.06967).
    """

    in_batch: ClassVar[bool] = True

    kind: Literal["relevance_kl"] = "relevance_kl"
    temperature: float = 0.05

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature: must be > 0, got {self.temperature}")

    def compute(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        has_tokens = student.mask.any(1) & teacher.mask.any(1)
        if not has_tokens.any():
            return LossOutput(student.vectors.sum() * 0)
        x, y = (side.each(lambda array: array[has_tokens]) for side in (student, teacher))
        predicted = (mean_maxsim(x, y) / self.temperature).log_softmax(-1)
        target = (mean_maxsim(y, y).detach() / self.temperature).log_softmax(-1)
        loss = functional.kl_div(predicted, target, reduction="batchmean", log_target=True)
        agreement = (predicted.detach().argmax(1) == target.argmax(1)).to(loss.dtype).mean()
        return LossOutput(loss, {"relevance_kl/agreement": agreement})
