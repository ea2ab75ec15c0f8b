"""A late-interaction encoder: a transformer, a linear projection, unit vectors for every token.

Legend: ``B`` texts, ``L`` tokens, ``D`` embedding dim.
Source: Khattab & Zaharia (2020), ColBERT, section 3.2.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor, nn

from optical_ray.retrieval.embeddings import TokenEmbeddings


class TokenEncoder(nn.Module):
    """Piece ids in, a cloud of unit vectors out.

    ``backbone`` is a Hugging Face encoder; ``projection`` is linear without bias, or ``None`` to use the
    backbone's last layer as it is; ``specials`` are ids that give no vector (sentence ends, markers, padding).
    """

    skip: Tensor

    def __init__(self, backbone: nn.Module, projection: nn.Linear | None, *, pad: int, specials: frozenset[int]):
        super().__init__()
        self.backbone = backbone
        self.projection = projection
        self.pad = pad
        rows = backbone.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
        skip = torch.zeros(rows, dtype=torch.bool)
        skip[list(specials)] = True
        self.register_buffer("skip", skip, persistent=False)

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
        hidden = self.backbone(input_ids=ids, attention_mask=attended.long()).last_hidden_state
        vectors = hidden if self.projection is None else self.projection(hidden)
        mask = ~self.skip[ids]
        mask = mask | (attended & ~mask.any(dim=1, keepdim=True))  # a text of specials alone still needs a vector
        vectors = nn.functional.normalize(vectors.float(), dim=-1)
        return TokenEmbeddings(vectors * mask.unsqueeze(-1), mask)
