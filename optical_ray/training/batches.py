"""Padded batches from tokenised bitext on disk; the mixture determines the pairs of each batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from optical_ray.data.mixture import Mixture
from optical_ray.data.permutation import permute
from optical_ray.data.ragged import padded_matrix
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.training.bitext_tokens import BitextTokens
from optical_ray.training.teacher_embeddings import TeacherEmbeddings


@dataclass(frozen=True)
class PairIdf:
    """Inverse document frequencies of a batch's tokens, in the shapes of its sides."""

    foreign: Float[Tensor, "b M"]
    pivot: Float[Tensor, "b N"]
    teacher: Float[Tensor, "b K"]


@dataclass(frozen=True)
class PairBatch:
    """``b`` sentence pairs of one worker: padded token ids, and the teacher's side as token embeddings or ids."""

    foreign: Int[Tensor, "b M"]
    pivot: Int[Tensor, "b N"]
    teacher: TokenEmbeddings | Int[Tensor, "b N"]
    idf: PairIdf | None = None

    def to(self, device: torch.device) -> PairBatch:
        """Return the batch on ``device``."""

        def move(array: Tensor) -> Tensor:
            return array.to(device)

        teacher = self.teacher
        moved = teacher.each(move) if isinstance(teacher, TokenEmbeddings) else move(teacher)
        idf = self.idf and PairIdf(move(self.idf.foreign), move(self.idf.pivot), move(self.idf.teacher))
        return PairBatch(move(self.foreign), move(self.pivot), moved, idf)

    @property
    def num_tokens(self) -> int:
        """The number of tokens that the student reads, padding included."""
        return self.foreign.numel() + self.pivot.numel()


def pad_ids(rows: Sequence[NDArray[np.generic]], pad: int) -> Int[Tensor, "B L"]:
    """Return rows of token ids as one matrix; shorter rows are filled up with ``pad``."""
    return torch.from_numpy(padded_matrix(rows, pad, np.int64))


Control = Literal["en", "shuffled"]
"""``en``: the pivot is on both sides of a pair; ``shuffled``: each pivot is paired with another's translation."""

SHUFFLE_SEED = 1
"""Seed of the permutation of the translations, the same for all seeds of a trial."""


@dataclass(frozen=True)
class PairStream:
    """The batches of one trial; ``batch(step, rank, world)`` is a pure function of its arguments.

    ``with_idf``: batches contain inverse document frequencies, computed per side on the bitext of its language.
    """

    mixture: Mixture
    languages: Mapping[str, BitextTokens]
    embeddings: TeacherEmbeddings | None
    pad: int
    teacher_pad: int
    control: Control | None = None
    with_idf: bool = False

    @cached_property
    def _idf(self) -> list[dict[str, NDArray[np.float32]]]:
        return [
            {side: table.idf(side) for side in ("foreign", "pivot", "teacher")} for table in self.languages.values()
        ]

    def batch(self, step: int, rank: int, num_workers: int) -> PairBatch:
        """Return the part of batch ``step`` for worker ``rank`` of ``num_workers``."""
        tables = list(self.languages.values())
        language, row = self.mixture.batch(step)
        table_of = language[rank::num_workers].tolist()
        mine = [
            (tables[number], index) for number, index in zip(table_of, row[rank::num_workers].tolist(), strict=True)
        ]
        foreign = [self._foreign(table, index) for table, index in mine]
        pivot = [table.ids("pivot", index) for table, index in mine]
        pieces = [table.ids("teacher", index) for table, index in mine] if self.embeddings is None else []
        teacher: TokenEmbeddings | Tensor
        if self.embeddings is None:
            teacher = pad_ids(pieces, self.teacher_pad)
        else:
            hashes = [table.pivot_hash(index) for table, index in mine]
            teacher = self.embeddings.token_embeddings(hashes)
            pieces = self.embeddings.pieces(hashes) if self.with_idf else []
        idf = None
        if self.with_idf:
            idf = PairIdf(
                foreign=self._weights("pivot" if self.control == "en" else "foreign", foreign, table_of),
                pivot=self._weights("pivot", pivot, table_of),
                teacher=self._weights("teacher", pieces, table_of),
            )
        return PairBatch(pad_ids(foreign, self.pad), pad_ids(pivot, self.pad), teacher, idf)

    def _foreign(self, table: BitextTokens, row: int) -> NDArray[np.generic]:
        if self.control == "en":
            return table.ids("pivot", row)
        if self.control == "shuffled":
            row = int(permute(np.array([row], dtype=np.int64), len(table), SHUFFLE_SEED)[0])
        return table.ids("foreign", row)

    def _weights(self, side: str, rows: Sequence[NDArray[np.generic]], table_of: Sequence[int]) -> Float[Tensor, "b L"]:
        weights = [self._idf[number][side][row] for number, row in zip(table_of, rows, strict=True)]
        return torch.from_numpy(padded_matrix(weights, 0, np.float32))
