"""The interface of encoders: their tokenizer, their weights, and what the rest of the package asks of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from pathlib import Path
from typing import Any

from optical_ray.encoders.conventions import Conventions, Support
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.registry import Configurable

EXAMPLE_TEXTS = (
    "the river runs to the sea",
    "a small bird sings in the garden",
    "mto unakwenda baharini",
    "der Fluss fließt ins Meer",
    "नदी समुद्र की ओर बहती है",
)
"""Texts for the vocabulary of an ``example``."""


class EncoderConfig(Configurable, ABC):
    """The configuration of an encoder: a frozen dataclass with a ``kind``.

    A member declares ``kind``, ``query_length`` and ``document_length`` (limits in pieces, special pieces included) as
    fields, and ``is_trained``: whether the weights that ``build`` returns are pretrained. A teacher that is randomly
    initialised needs ``teacher_training``. The attributes with a default below are options: a member that offers one
    declares it as a field.
    """

    kind: str
    query_length: int
    document_length: int
    is_trained: bool

    checkpoint: str | None = None
    """Where the weights are stored: a folder, a URI or a name on the Hugging Face hub; ``None`` if they are drawn."""

    trim_vocabulary: bool = False
    """Whether only the embedding rows of pieces that the study's text uses are kept."""

    vocabulary: int = 16_000
    """Largest number of pieces of the vocabulary that is trained for an encoder without a tokenizer."""

    support: Support = "pieces"
    skip_punctuation: bool = False
    query_expansion: bool = False

    @property
    def conventions(self) -> Conventions:
        """Which tokens have a vector."""
        return Conventions(self.support, self.skip_punctuation, self.query_expansion)

    def settings(self) -> dict[str, Any]:
        """All fields, except for newer ones (``since``) that have their default, so that older digests stay."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)  # type: ignore[arg-type]
            if not ("since" in f.metadata and getattr(self, f.name) == f.default)
        }

    def identity(self) -> dict[str, Any]:
        """What the weights depend on, without paths: a folder is represented by the digest of its files."""
        return self.settings()

    @abstractmethod
    def width(self) -> int:
        """Width of a token's vector.

        Raises ``InputError`` if the checkpoint cannot be read or has another width than the one that is configured.
        """

    def width_before_download(self) -> int | None:
        """``width`` if it is known without a download, else ``None``."""
        return self.width()

    def tokenizer(self) -> PieceTokenizer | None:
        """The encoder's own tokenizer, or ``None`` if a vocabulary is to be trained for it."""
        return None

    @abstractmethod
    def build(self, tokenizer: PieceTokenizer) -> TokenEncoder:
        """The encoder with its initial weights, the same at every call; the global random state does not change."""

    @classmethod
    @abstractmethod
    def example(cls, folder: Path) -> EncoderConfig:
        """A small configuration for the tests, which may write the files it reads to ``folder``."""


def check_limits(*, query_length: int, document_length: int, dropout: float) -> None:
    """Raise ``ValueError`` if a length or the dropout probability is out of range."""
    for name, length in (("query_length", query_length), ("document_length", document_length)):
        if length < 4:
            raise ValueError(f"{name}: too short (got {length}, expected at least 4, special pieces included)")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout: out of range (got {dropout}, expected 0 <= dropout < 1)")
