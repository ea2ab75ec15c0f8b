"""OPTICAL: pull student tokens towards the teacher tokens that optimal transport assigns to them.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.losses.interface import Loss, LossOutput
from optical_ray.ot.cost import CostKind, cost_matrix
from optical_ray.ot.sinkhorn import SinkhornConfig, sinkhorn
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class OptimalTransport(Loss):
    """Mean over pairs of <P, C>: C the cost between student and teacher tokens, P its transport plan.

    Marginals are uniform over real tokens and sum to one in each pair, so long sentences do not dominate. Always
    computed in float32 or better. Source: Huang, Yu and Allan, WSDM 2023 (arXiv 2301.12566), section 4.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    kind: Literal["optimal_transport"] = "optimal_transport"
    cost: CostKind = "cosine"
    sinkhorn: SinkhornConfig = field(default_factory=SinkhornConfig)

    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        with torch.autocast(student.vectors.device.type, enabled=False):
            cost = cost_matrix(
                _at_least_float32(student.vectors),
                _at_least_float32(teacher.vectors),
                student.mask,
                teacher.mask,
                self.cost,
            )
            a, b = _uniform(student, cost), _uniform(teacher, cost)
            out = sinkhorn(cost, a, b, self.sinkhorn)
        diagnostics = {
            "ot/marginal_error": out.marginal_error.mean(),
            "ot/iterations": out.iterations.to(cost.dtype).mean(),
            "ot/converged": out.converged.to(cost.dtype).mean(),
        }
        return LossOutput(out.value.mean(), diagnostics)


def _at_least_float32(vectors: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
    return vectors if vectors.dtype == torch.float64 else vectors.float()


def _uniform(tokens: TokenEmbeddings, like: Tensor) -> Float[Tensor, "B L"]:
    mask = tokens.mask.to(like.dtype)
    return mask / mask.sum(1, keepdim=True).clamp_min(1)
