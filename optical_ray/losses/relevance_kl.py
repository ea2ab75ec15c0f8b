"""Relevance distillation: the student is to rank the batch's pivot sentences as the teacher ranks them.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from optical_ray.losses.interface import Loss, LossOutput, full_precision
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import maxsim


@dataclass(frozen=True)
class RelevanceKL(Loss):
    """Mean over pairs of KL(softmax_k(s(y_i, y_k) / T) | softmax_k(s(x_i, y_k) / T)).

    s is MaxSim divided by the number of query tokens; the teacher's sentence i as a query gives the target, the
    student's sentence i (its translation) the prediction, the teacher's sentences are the documents. Pairs with an
    empty side are left out. Source: Li et al., NAACL 2022 (Dr.DECR, arXiv 2112.08185), the relevance objective, with
    the batch as documents as in Hofstätter et al., SIGIR 2021 (TAS-B, arXiv 2104.06967).
    """

    in_batch: ClassVar[bool] = True

    kind: Literal["relevance_kl"] = "relevance_kl"
    temperature: float = 0.05

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature: must be > 0, got {self.temperature}")

    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        with full_precision(student, teacher) as (x, y):
            both = x.mask.any(1) & y.mask.any(1)
            x, y = (replace(side, vectors=side.vectors[both], mask=side.mask[both]) for side in (x, y))
            if not both.any():
                return LossOutput(student.vectors.float().sum() * 0)
            predicted = (_mean_maxsim(x, y) / self.temperature).log_softmax(-1)
            target = (_mean_maxsim(y, y).detach() / self.temperature).log_softmax(-1)
            loss = functional.kl_div(predicted, target, reduction="batchmean", log_target=True)
            agreement = (predicted.detach().argmax(1) == target.argmax(1)).to(loss.dtype).mean()
        return LossOutput(loss, {"relevance_kl/agreement": agreement})


def _mean_maxsim(queries: TokenEmbeddings, documents: TokenEmbeddings) -> Float[Tensor, "Q K"]:
    return maxsim(queries, documents) / queries.mask.sum(1, keepdim=True)
