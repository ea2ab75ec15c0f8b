"""A randomly initialised encoder with XLM-R's architecture, of any size: for studies without a download."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from transformers.models.xlm_roberta.configuration_xlm_roberta import XLMRobertaConfig

from optical_ray.encoders.conventions import Support
from optical_ray.encoders.interface import EncoderConfig, check_limits
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer


@dataclass(frozen=True)
class ScratchEncoder(EncoderConfig):
    """XLM-R's architecture (Conneau et al. 2020) with random weights; its vocabulary is trained on the study's text.

    ``layers``, ``hidden``, ``heads``, ``intermediate``: size of the transformer. ``dim``: width of a token's vector.
    ``vocabulary``: largest number of pieces. ``query_length``, ``document_length``: in pieces, special pieces included.
    ``seed``: of the weights. ``support``, ``skip_punctuation``, ``query_expansion``: see ``Conventions``.
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
                raise ValueError(f"{name}: out of range (got {getattr(self, name)}, expected at least 1)")
        if self.hidden % self.heads:
            raise ValueError(f"hidden: not a multiple of heads (got {self.hidden} with {self.heads} heads)")
        if self.vocabulary < 100:
            raise ValueError(f"vocabulary: out of range (got {self.vocabulary}, expected at least 100)")
        check_limits(query_length=self.query_length, document_length=self.document_length, dropout=self.dropout)

    def width(self) -> int:
        """``dim``."""
        return self.dim

    def build(self, tokenizer: PieceTokenizer) -> TokenEncoder:
        """Random weights, drawn with ``seed``."""
        from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaModel  # takes seconds to import

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
        return TokenEncoder.from_tokenizer(backbone, projection, tokenizer, self.conventions)

    @classmethod
    def example(cls, folder: Path) -> ScratchEncoder:
        """One layer of width 16."""
        return cls(layers=1, hidden=16, heads=2, intermediate=16, dim=4, vocabulary=150)
