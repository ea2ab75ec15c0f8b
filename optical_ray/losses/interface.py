"""What every distillation loss offers: two clouds of tokens in, a scalar and its diagnostics out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.registry import Configurable
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class LossOutput:
    """``loss``: scalar, differentiable with respect to the student; ``diagnostics``: detached scalars by name."""

    loss: Float[Tensor, ""]
    diagnostics: dict[str, Tensor] = field(default_factory=dict)


class Loss(Configurable, ABC):
    """A distillation loss: a frozen dataclass with a ``kind``, called on the two sides of ``B`` sentence pairs.

    ``in_batch`` says that pairs of a batch see each other: then the training step hands it the batch of all
    workers, so that the number of workers changes nothing.
    """

    kind: str
    in_batch: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        """Loss of ``student`` (B, M, D), the foreign side, against ``teacher`` (B, N, D), the pivot side."""


@contextmanager
def full_precision(
    student: TokenEmbeddings, teacher: TokenEmbeddings
) -> Iterator[tuple[TokenEmbeddings, TokenEmbeddings]]:
    """Both sides in float32 (float64 stays), and no autocast while a loss looks at them."""
    with torch.autocast(student.vectors.device.type, enabled=False):
        yield _at_least_float32(student), _at_least_float32(teacher)


def _at_least_float32(tokens: TokenEmbeddings) -> TokenEmbeddings:
    return tokens if tokens.vectors.dtype == torch.float64 else replace(tokens, vectors=tokens.vectors.float())
