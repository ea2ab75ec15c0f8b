"""Token embeddings of a batch of texts: the output of encoders, the input of losses and late interaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class TokenEmbeddings:
    """The token vectors of ``B`` texts, padded to ``L`` tokens.

    ``vectors`` (B, L, D): unit length at real tokens, zero at padding. ``mask`` (B, L): true at real tokens. ``norms``
    (B, L): lengths of the vectors before normalisation, or None. ``idf`` (B, L): inverse document frequencies in the
    bitext, or None.
    """

    vectors: Float[Tensor, "B L D"]
    mask: Bool[Tensor, "B L"]
    norms: Float[Tensor, "B L"] | None = None
    idf: Float[Tensor, "B L"] | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> TokenEmbeddings:
        """Apply ``change`` to every array, for example to move it to another device."""
        arrays = (self.vectors, self.mask, self.norms, self.idf)
        return TokenEmbeddings(*(None if array is None else change(array) for array in arrays))  # type: ignore[arg-type]

    def mean(self) -> Float[Tensor, "B D"]:
        """Mean vector over the real tokens of each text; zero for a text without tokens.

        >>> import torch
        >>> vectors, mask = torch.tensor([[[1.0, 3.0], [9.0, 9.0]]]), torch.tensor([[True, False]])
        >>> TokenEmbeddings(vectors, mask).mean().tolist()
        [[1.0, 3.0]]
        """
        real = self.vectors.masked_fill(~self.mask[:, :, None], 0)
        return real.sum(1) / self.mask.sum(1, keepdim=True).clamp_min(1)
