"""What every distillation loss offers: two clouds of tokens in, a scalar and its diagnostics out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class LossOutput:
    """``loss``: scalar, differentiable with respect to the student; ``diagnostics``: detached scalars by name."""

    loss: Float[Tensor, ""]
    diagnostics: dict[str, Tensor] = field(default_factory=dict)


class Loss(ABC):
    """A distillation loss: a frozen dataclass with a ``kind``, called on the two sides of ``B`` sentence pairs.

    ``in_batch`` says that pairs of a batch see each other: then the training step hands it the batch of all
    workers, so that the number of workers changes nothing.
    """

    kind: str
    in_batch: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        """Loss of ``student`` (B, M, D), the foreign side, against ``teacher`` (B, N, D), the pivot side."""
