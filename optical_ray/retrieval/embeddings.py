"""Token embeddings of a batch of texts: what encoders give and what losses and late interaction take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class TokenEmbeddings:
    """A cloud of unit vectors for each of ``B`` texts.

    Shapes: ``vectors`` (B, L, D), L2-normalised where ``mask`` is true and zero elsewhere; ``mask`` (B, L), true at
    real tokens. What is known of each token beside its direction, >= 0, or ``None``: ``norms`` (B, L), its length
    before it was normalised, and ``idf`` (B, L), its inverse document frequency in the bitext.
    """

    vectors: Float[Tensor, "B L D"]
    mask: Bool[Tensor, "B L"]
    norms: Float[Tensor, "B L"] | None = None
    idf: Float[Tensor, "B L"] | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> TokenEmbeddings:
        """The clouds with every array changed alike, e.g. moved to another device."""
        arrays = (self.vectors, self.mask, self.norms, self.idf)
        return TokenEmbeddings(*(None if array is None else change(array) for array in arrays))  # type: ignore[arg-type]
