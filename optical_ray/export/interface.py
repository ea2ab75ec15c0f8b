"""What every export format offers: a student becomes a folder that another program loads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer


@dataclass(frozen=True)
class Student:
    """A distilled encoder that leaves: its weights, its tokenizer, its lengths in pieces (specials included)."""

    encoder: TokenEncoder
    tokenizer: PieceTokenizer
    query_length: int
    document_length: int

    @classmethod
    def open(cls, folder: Path) -> Student:
        """Read a trial's student folder; raises ``InputError`` where it is none."""
        checkpoint = Checkpoint.open(folder)
        return cls(checkpoint.load(), checkpoint.tokenizer(), checkpoint.query_length, checkpoint.document_length)


class Format(ABC):
    """A layout of another program: a frozen dataclass with a ``kind``. Weights are written as safetensors only."""

    kind: str

    @abstractmethod
    def write(self, student: Student, folder: Path) -> None:
        """Write ``student`` to ``folder``, which is there and empty; raises ``InputError`` where it cannot hold it."""

    @abstractmethod
    def differences(self, student: Student) -> tuple[str, ...]:
        """What the other program scores in another way than this one, a sentence each; empty: scores are equal.

        Token vectors are equal in every format; what may differ is which of them count.
        """

    @abstractmethod
    def usage(self, student: Student) -> str:
        """A few lines of Python that load the folder, for the model card."""
