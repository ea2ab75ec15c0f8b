"""The interface of export formats: each writes a student as a folder that another program loads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer


@dataclass(frozen=True)
class Student:
    """A distilled encoder to export: weights, tokenizer, and lengths in pieces (special pieces included)."""

    encoder: TokenEncoder
    tokenizer: PieceTokenizer
    query_length: int
    document_length: int

    @classmethod
    def open(cls, folder: Path) -> Student:
        """Read the folder of a trial's student; raises ``InputError`` if it has no student."""
        checkpoint = Checkpoint.open(folder)
        return cls(checkpoint.load(), checkpoint.tokenizer(), checkpoint.query_length, checkpoint.document_length)


class Format(ABC):
    """A folder layout of another program: a frozen dataclass with a ``kind``.

    ``library`` is the name of the program in the hub's model cards. Weights are written only as safetensors.
    """

    kind: str
    library: str

    @abstractmethod
    def write(self, student: Student, folder: Path) -> None:
        """Write ``student`` to the empty ``folder``; raises ``InputError`` if the layout cannot represent it."""

    @abstractmethod
    def differences(self, student: Student) -> tuple[str, ...]:
        """What the other program scores differently, one sentence each; empty if scores are equal.

        Token vectors are equal in every format; the programs may differ in which of them they use.
        """

    @abstractmethod
    def usage(self, student: Student) -> str:
        """Python lines that load the folder and encode texts, for the model card."""
