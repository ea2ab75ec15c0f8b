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
    """Maps piece ids to a unit vector per token.

    ``backbone`` is a Hugging Face encoder; ``projection`` is linear without bias, or ``None`` to use the backbone's
    last layer directly. Ids in ``specials`` have no vector (with ``support: pieces`` sentence ends, markers and
    padding); ids in ``signs`` have none in texts that contain ``document_marker``. ``mask`` is the id that expands
    queries: it has a vector, and no other piece attends to it.
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
    def from_tokenizer(
        cls, backbone: nn.Module, projection: nn.Linear | None, tokenizer: PieceTokenizer, conventions: Conventions
    ) -> TokenEncoder:
        """An encoder that reads the pieces of ``tokenizer`` and follows ``conventions``."""
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
        """Encode padded piece ids.

        Padding is not attended to. ``norms`` are the vectors' norms before they are normalised. A text of special
        pieces only has a vector for each of them, so that no text is empty.
        """
        attended = ids != self.pad
        if self._mask is not None:
            attended = attended & (ids != self._mask)
        hidden = self.backbone(input_ids=ids, attention_mask=attended.long()).last_hidden_state
        vectors = hidden if self.projection is None else self.projection(hidden)
        mask = self._supported(ids)
        mask = mask | (attended & ~mask.any(dim=1, keepdim=True))
        vectors = vectors.float()
        norms = vectors.detach().norm(dim=-1) * mask
        vectors = nn.functional.normalize(vectors, dim=-1)
        return TokenEmbeddings(vectors * mask.unsqueeze(-1), mask, norms)

    def _supported(self, ids: Int[Tensor, "B L"]) -> Bool[Tensor, "B L"]:
        """Whether a piece has a vector."""
        mask = ~self.skip[ids]
        if self._document_marker is not None:
            is_document = (ids == self._document_marker).any(dim=1, keepdim=True)
            mask = mask & ~(self.skip_in_documents[ids] & is_document)
        return mask


def _flags(rows: int, ids: Iterable[int]) -> Bool[Tensor, " V"]:
    flags = torch.zeros(rows, dtype=torch.bool)
    flags[list(ids)] = True
    return flags
