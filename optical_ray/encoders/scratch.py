"""An encoder of XLM-R's architecture, of any size, with new weights: for studies that need no download."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from transformers.models.xlm_roberta.configuration_xlm_roberta import XLMRobertaConfig

from optical_ray.encoders.conventions import Support
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer


@dataclass(frozen=True)
class ScratchEncoder(EncoderConfig):
    """XLM-R's architecture (Conneau et al. 2020) with random weights and a vocabulary of the study's own text.

    ``layers``, ``hidden``, ``heads``, ``intermediate``: the transformer's size; ``dim``: width of a token's
    vector; ``vocabulary``: pieces at most; lengths in pieces, specials included; ``seed``: of the weights;
    ``support``, ``skip_punctuation``, ``query_expansion``: see ``Conventions``.
    """

    kind: Literal["scratch"] = "scratch"
    layers: int = 2
    hidden: int = 128
    heads: int = 4
    intermediate: int = 512
    dim: int = 128
    vocabulary: int = 16_000
    query_length: int = 32
    document_length: int = 64
    dropout: float = 0.0
    seed: int = 0
    support: Support = field(default="pieces", metadata={"since": 2})
    skip_punctuation: bool = field(default=False, metadata={"since": 2})
    query_expansion: bool = field(default=False, metadata={"since": 2})

    is_trained = False

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "intermediate", "dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be >= 1, got {getattr(self, name)}")
        if self.hidden % self.heads:
            raise ValueError(f"hidden: must be a multiple of heads ({self.heads}), got {self.hidden}")
        if self.vocabulary < 100:
            raise ValueError(f"vocabulary: must be >= 100, got {self.vocabulary}")
        if min(self.query_length, self.document_length) < 4:
            raise ValueError("query_length, document_length: must be >= 4 (two of them are sentence ends)")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be in [0, 1), got {self.dropout}")

    def identity(self) -> dict[str, Any]:
        """All fields: the weights depend on nothing else."""
        return self.settings()

    def width(self) -> int | None:
        """``dim``."""
        return self.dim

    def tokenizer(self) -> PieceTokenizer | None:
        """None: the vocabulary is trained on the study's text."""
        return None

    def build(self, tokenizer: PieceTokenizer) -> TokenEncoder:
        """New weights, drawn with ``seed``."""
        from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaModel  # seconds to import

        config = XLMRobertaConfig(
            vocab_size=tokenizer.size,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.intermediate,
            max_position_embeddings=max(self.query_length, self.document_length) + tokenizer.pad + 1,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            type_vocab_size=1,
            pad_token_id=tokenizer.pad,
            bos_token_id=tokenizer.cls,
            eos_token_id=tokenizer.sep,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            backbone = XLMRobertaModel(config, add_pooling_layer=False)
            projection = nn.Linear(self.hidden, self.dim, bias=False)
        return TokenEncoder.of(backbone, projection, tokenizer, self.conventions)
