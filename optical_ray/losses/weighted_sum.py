"""Several losses at once, each with its weight.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from optical_ray.losses.interface import Loss, LossOutput
from optical_ray.registry import Configurable, members
from optical_ray.retrieval.embeddings import TokenEmbeddings


class AnyLoss:
    """Tells a validator, in its own plain-data language, that a field holds any loss of the room but a sum."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        kinds: dict[str, type[Loss]] = members("optical_ray.losses", Loss)  # type: ignore[type-abstract]
        choices = {kind: handler.generate_schema(loss) for kind, loss in kinds.items() if loss is not WeightedSum}
        return {"type": "tagged-union", "discriminator": "kind", "choices": choices}


@dataclass(frozen=True)
class WeightedLoss(Configurable):
    """One term: ``weight`` > 0 times ``loss``."""

    loss: Annotated[Loss, AnyLoss()]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (self.weight > 0 and math.isfinite(self.weight)):
            raise ValueError(f"weight: must be > 0, got {self.weight}")


@dataclass(frozen=True)
class WeightedSum(Loss):
    """sum over terms of weight x loss; terms may be of any kind but this one, each kind once.

    Every term's value is reported as ``loss/<kind>``, beside its own diagnostics. Pairs see each other where they do
    in any term.
    """

    kind: Literal["sum"] = "sum"
    terms: tuple[WeightedLoss, ...] = ()

    def __post_init__(self) -> None:
        kinds = [term.loss.kind for term in self.terms]
        if not kinds:
            raise ValueError("terms: must name at least one loss, got none")
        twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
        if twice is not None:
            raise ValueError(f"terms: must name each kind once, got {twice} again")
        if self.kind in kinds:
            raise ValueError("terms: must not be sums themselves, got sum")

    @property
    def in_batch(self) -> bool:  # type: ignore[override]
        return any(term.loss.in_batch for term in self.terms)

    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        diagnostics: dict[str, Tensor] = {}
        weighted = []
        for term in self.terms:
            out = term.loss(student, teacher)
            weighted.append(term.weight * out.loss)
            diagnostics |= out.diagnostics | {f"loss/{term.loss.kind}": out.loss.detach()}
        return LossOutput(torch.stack(weighted).sum(), diagnostics)
