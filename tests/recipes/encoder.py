"""A third kind of encoder: one file in ``optical_ray/encoders/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from optical_ray.encoders.backbones import new_backbone
from optical_ray.encoders.interface import EncoderConfig, check_limits
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer


@dataclass(frozen=True)
class SmallBert(EncoderConfig):
    """BERT's architecture (Devlin et al. 2019) with random weights; its vocabulary is trained on the study's text.

    ``layers``, ``hidden``: size of the transformer; ``hidden`` is also the width of a token's vector.
    """

    kind: Literal["small_bert"] = "small_bert"
    layers: int = 2
    hidden: int = 128
    query_length: int = 32
    document_length: int = 64
    seed: int = 0

    is_trained = False

    def __post_init__(self) -> None:
        if self.hidden % 4:
            raise ValueError(f"hidden: not a multiple of 4 (got {self.hidden})")
        check_limits(query_length=self.query_length, document_length=self.document_length, dropout=0.0)

    def width(self) -> int:
        """``hidden``: the last layer is used without a projection."""
        return self.hidden

    def build(self, tokenizer: PieceTokenizer) -> TokenEncoder:
        """Random weights, drawn with ``seed``."""
        from transformers import BertConfig  # takes seconds to import

        config = BertConfig(
            vocab_size=tokenizer.size,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=4,
            intermediate_size=4 * self.hidden,
            max_position_embeddings=max(self.query_length, self.document_length),
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            pad_token_id=tokenizer.pad,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            backbone = new_backbone(config)
        return TokenEncoder.from_tokenizer(backbone, None, tokenizer, self.conventions)

    @classmethod
    def example(cls, folder: Path) -> SmallBert:
        """One layer of width 16."""
        return cls(layers=1, hidden=16)
