"""Token embeddings of a batch of texts: what encoders give and what losses and late interaction take."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class TokenEmbeddings:
    """A cloud of unit vectors for each of ``B`` texts.

    Shapes: ``vectors`` (B, L, D), L2-normalised where ``mask`` is true and zero elsewhere; ``mask`` (B, L),
    true at real tokens; ``weights`` (B, L), relative importance of each token (>= 0, zero at padding), or
    ``None`` for equal weights.
    """

    vectors: Float[Tensor, "B L D"]
    mask: Bool[Tensor, "B L"]
    weights: Float[Tensor, "B L"] | None = None
