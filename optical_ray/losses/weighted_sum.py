"""A weighted sum of losses.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from optical_ray.losses.interface import Loss, LossOutput
from optical_ray.registry import AnyOf, Configurable
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class WeightedLoss(Configurable):
    """One term of a sum: ``weight`` > 0 times ``loss``, which is not a sum itself."""

    loss: Annotated[Loss, AnyOf("optical_ray.losses", Loss, without=("sum",))]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (self.weight > 0 and math.isfinite(self.weight)):
            raise ValueError(f"weight: must be > 0, got {self.weight}")


@dataclass(frozen=True)
class WeightedSum(Loss):
    """Sum over terms of weight x loss. Terms can be of any other kind, each kind once.

    Each term's value is reported as ``loss/<kind>``, in addition to its own diagnostics. ``in_batch`` is true if it is
    true for any term.
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

    def compute(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        diagnostics: dict[str, Tensor] = {}
        weighted = []
        for term in self.terms:
            output = term.loss(student, teacher)
            weighted.append(term.weight * output.loss)
            diagnostics |= output.diagnostics | {f"loss/{term.loss.kind}": output.loss.detach()}
        return LossOutput(torch.stack(weighted).sum(), diagnostics)

    def canonical(self) -> tuple[float, Loss]:
        """Terms in normal form, ordered by kind; factors move into the weights."""
        forms = [(term.weight, *term.loss.canonical()) for term in self.terms]
        terms = [WeightedLoss(loss, weight * factor) for weight, factor, loss in forms]
        return 1.0, WeightedSum(terms=tuple(sorted(terms, key=lambda term: term.loss.kind)))
