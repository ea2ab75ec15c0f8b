"""A late-interaction encoder: a transformer, a linear projection, unit vectors for every token.

Legend: ``B`` texts, ``L`` tokens, ``D`` embedding dim.
Source: Khattab & Zaharia (2020), ColBERT, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from optical_ray.encoders.conventions import Conventions, punctuation
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.retrieval.embeddings import TokenEmbeddings


class TokenEncoder(nn.Module):
    """Piece ids in, a cloud of unit vectors out.

    ``backbone`` is a Hugging Face encoder; ``projection`` is linear without bias, or ``None`` to use the
    backbone's last layer as it is; ``specials`` are ids that give no vector (with ``support: pieces`` sentence
    ends, markers, padding); ``signs`` give none in texts that hold ``document_marker``; ``mask`` is the id that
    queries are expanded with: nothing attends to it, and it gives a vector.
    """

    skip: Tensor
    skip_in_documents: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        projection: nn.Linear | None,
        *,
        pad: int,
        specials: frozenset[int],
        conventions: Conventions | None = None,
        signs: frozenset[int] = frozenset(),
        document_marker: int | None = None,
        mask: int | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.projection = projection
        self.pad = pad
        self.conventions = conventions or Conventions()
        self._document_marker = document_marker if signs else None
        self._mask = mask
        rows = self.input_embeddings.weight.shape[0]
        self.register_buffer("skip", _flags(rows, specials), persistent=False)
        self.register_buffer("skip_in_documents", _flags(rows, signs), persistent=False)

    @classmethod
    def of(
        cls, backbone: nn.Module, projection: nn.Linear | None, tokenizer: PieceTokenizer, conventions: Conventions
    ) -> TokenEncoder:
        """The encoder of ``tokenizer``'s pieces, by ``conventions``."""
        return cls(
            backbone,
            projection,
            pad=tokenizer.pad,
            specials=tokenizer.specials if conventions.support == "pieces" else frozenset({tokenizer.pad}),
            conventions=conventions,
            signs=punctuation(tokenizer.backend) if conventions.skip_punctuation else frozenset(),
            document_marker=tokenizer.markers.get("document"),
            mask=tokenizer.mask if conventions.query_expansion else None,
        )

    @property
    def dim(self) -> int:
        """Width of a token's vector."""
        if self.projection is not None:
            return self.projection.out_features
        return int(self.backbone.config.hidden_size)  # type: ignore[union-attr, arg-type]

    @property
    def input_embeddings(self) -> nn.Embedding:
        """The table of piece embeddings."""
        table = self.backbone.get_input_embeddings()  # type: ignore[operator]
        assert isinstance(table, nn.Embedding)
        return table

    def forward(self, ids: Int[Tensor, "B L"]) -> TokenEmbeddings:
        """Encode padded piece ids; attention sees all but padding, vectors stand at pieces that carry text."""
        attended = ids != self.pad
        if self._mask is not None:
            attended = attended & (ids != self._mask)
        hidden = self.backbone(input_ids=ids, attention_mask=attended.long()).last_hidden_state
        vectors = hidden if self.projection is None else self.projection(hidden)
        mask = self._supported(ids)
        mask = mask | (attended & ~mask.any(dim=1, keepdim=True))  # a text of specials alone still needs a vector
        vectors = vectors.float()
        norms = vectors.detach().norm(dim=-1) * mask
        vectors = nn.functional.normalize(vectors, dim=-1)
        return TokenEmbeddings(vectors * mask.unsqueeze(-1), mask, norms)

    def _supported(self, ids: Int[Tensor, "B L"]) -> Bool[Tensor, "B L"]:
        """Where a vector counts."""
        mask = ~self.skip[ids]
        if self._document_marker is not None:
            is_document = (ids == self._document_marker).any(dim=1, keepdim=True)
            mask = mask & ~(self.skip_in_documents[ids] & is_document)
        return mask


def _flags(rows: int, ids: Iterable[int]) -> Bool[Tensor, " V"]:
    flags = torch.zeros(rows, dtype=torch.bool)
    flags[list(ids)] = True
    return flags
