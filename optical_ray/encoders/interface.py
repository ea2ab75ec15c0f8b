"""What every kind of encoder offers: how to get its tokenizer and how to build its weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer


class EncoderConfig(ABC):
    """An encoder one can ask for: a frozen dataclass with a ``kind``.

    ``query_length`` and ``document_length`` are the limits in pieces, specials included. ``is_trained`` says
    whether the weights that ``build`` gives already know a language; where not, a teacher of this kind must be
    trained.
    """

    kind: str
    query_length: int
    document_length: int
    is_trained: bool

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What the weights depend on, without paths: a folder enters as the digest of its files."""

    @abstractmethod
    def tokenizer(self) -> PieceTokenizer | None:
        """The tokenizer it comes with; ``None`` where a vocabulary must be trained."""

    @abstractmethod
    def build(self, tokenizer: PieceTokenizer) -> TokenEncoder:
        """New weights, the same at every call."""
