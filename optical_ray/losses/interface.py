"""The interface of distillation losses: token embeddings of both sides in, a scalar and its diagnostics out."""

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

    A subclass implements ``compute``. ``in_batch`` is true if the loss of a pair depends on the other pairs of the
    batch; the training step then passes the batch of all workers, so that the result does not depend on their number.
    """

    kind: str
    in_batch: ClassVar[bool] = False

    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        """Loss of ``student`` (B, M, D), the foreign side, against ``teacher`` (B, N, D), the pivot side.

        It is computed in float32 (float64 for float64 embeddings), without autocast.
        """
        with full_precision(student, teacher) as sides:
            return self.compute(*sides)

    @abstractmethod
    def compute(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        """Compute the loss; embeddings are float32 or float64, and autocast is off.

        Padding must have no influence, and a pair with an empty side must give neither NaN nor infinity.
        """

    def canonical(self) -> tuple[float, Loss]:
        """A factor and a loss in normal form: for unit vectors, this loss is their product.

        Losses that align tokens equally, up to the factor, have equal normal forms.
        """
        return 1.0, self


@contextmanager
def full_precision(
    student: TokenEmbeddings, teacher: TokenEmbeddings
) -> Iterator[tuple[TokenEmbeddings, TokenEmbeddings]]:
    """Convert both sides to float32 (float64 is kept) and disable autocast in the ``with`` block."""
    with torch.autocast(student.vectors.device.type, enabled=False):
        yield _at_least_float32(student), _at_least_float32(teacher)


def _at_least_float32(tokens: TokenEmbeddings) -> TokenEmbeddings:
    return tokens if tokens.vectors.dtype == torch.float64 else replace(tokens, vectors=tokens.vectors.float())
