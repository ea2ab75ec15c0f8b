"""What every kind of encoder offers: how to get its tokenizer and how to build its weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any

from optical_ray.encoders.conventions import Conventions, Support
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.registry import Configurable


class EncoderConfig(Configurable, ABC):
    """An encoder one can ask for: a frozen dataclass with a ``kind``.

    ``query_length`` and ``document_length`` are the limits in pieces, specials included. ``is_trained`` says
    whether the weights that ``build`` gives already know a language; where not, a teacher of this kind must be
    trained. ``support``, ``skip_punctuation``, ``query_expansion``: see ``Conventions``.
    """

    kind: str
    query_length: int
    document_length: int
    is_trained: bool
    support: Support
    skip_punctuation: bool
    query_expansion: bool

    @property
    def conventions(self) -> Conventions:
        """Which tokens give a vector."""
        return Conventions(self.support, self.skip_punctuation, self.query_expansion)

    def settings(self) -> dict[str, Any]:
        """All fields, but those that came after the first release and stand at their default: digests stay."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)  # type: ignore[arg-type]
            if not ("since" in f.metadata and getattr(self, f.name) == f.default)
        }

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What the weights depend on, without paths: a folder enters as the digest of its files."""

    @abstractmethod
    def width(self) -> int | None:
        """Width of a token's vector; ``None`` where only a download can tell.

        Raises ``InputError`` for a folder that holds no encoder this program reads.
        """

    @abstractmethod
    def tokenizer(self) -> PieceTokenizer | None:
        """The tokenizer it comes with; ``None`` where a vocabulary must be trained."""

    @abstractmethod
    def build(self, tokenizer: PieceTokenizer) -> TokenEncoder:
        """New weights, the same at every call."""
