"""Tokenised bitext on disk to padded batches; which pairs make batch ``step`` is the mixture's word alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from optical_ray.data.mixture import Mixture
from optical_ray.data.ragged import Ragged
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class PairBatch:
    """``b`` sentence pairs of one worker: piece ids, padded (b, L), and the teacher's side as a cloud or as ids."""

    foreign: Int[Tensor, "b M"]
    pivot: Int[Tensor, "b N"]
    teacher: TokenEmbeddings | Int[Tensor, "b N"]

    def to(self, device: torch.device) -> PairBatch:
        """The same batch on ``device``."""
        teacher = self.teacher
        moved = (
            TokenEmbeddings(teacher.vectors.to(device), teacher.mask.to(device))
            if isinstance(teacher, TokenEmbeddings)
            else teacher.to(device)
        )
        return PairBatch(self.foreign.to(device), self.pivot.to(device), moved)

    @property
    def num_tokens(self) -> int:
        """Padded positions that the student reads."""
        return self.foreign.numel() + self.pivot.numel()


def pad_ids(rows: Sequence[NDArray[np.generic]], pad: int) -> Int[Tensor, "B L"]:
    """Rows of piece ids as one matrix, ``pad`` behind the shorter ones."""
    longest = max(len(row) for row in rows)
    matrix = np.full((len(rows), longest), pad, dtype=np.int64)
    for index, row in enumerate(rows):
        matrix[index, : len(row)] = row
    return torch.from_numpy(matrix)


class BitextTokens:
    """One language's tokenised pairs, from one dataset or several behind each other, memory-mapped.

    A folder holds ``foreign`` and ``pivot`` (the student's pieces), ``teacher`` (the teacher's pieces of the pivot)
    and ``pivot_hash.npy`` (64-bit digest of the pivot's text: the key of its teacher embeddings).
    """

    def __init__(self, folders: Sequence[Path]):
        self._parts = [
            {name: Ragged.open(folder, name) for name in ("foreign", "pivot", "teacher")} for folder in folders
        ]
        self._hashes = [np.load(folder / "pivot_hash.npy", mmap_mode="r") for folder in folders]
        self._starts = np.cumsum([0, *(len(hashes) for hashes in self._hashes)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _place(self, row: int) -> tuple[int, int]:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        return part, int(row - self._starts[part])

    def ids(self, side: str, row: int) -> NDArray[np.generic]:
        """Piece ids of one side ("foreign", "pivot", "teacher") of one pair."""
        part, index = self._place(row)
        return self._parts[part][side][index]

    def pivot_hash(self, row: int) -> np.uint64:
        """The digest of the pivot's text."""
        part, index = self._place(row)
        return np.uint64(self._hashes[part][index])

    def lengths(self) -> NDArray[np.int64]:
        """Pieces of the longer side of every pair."""
        longer = [np.maximum(part["foreign"].lengths, part["pivot"].lengths) for part in self._parts]
        return np.concatenate(longer)


class TeacherEmbeddings:
    """The teacher's vectors of every pivot sentence of a study, memory-mapped, found by the text's digest."""

    def __init__(self, folder: Path):
        self._hashes = np.load(folder / "hashes.npy", mmap_mode="r")
        self._vectors = Ragged.open(folder, "vectors")

    def cloud(self, hashes: Sequence[np.uint64]) -> TokenEmbeddings:
        """The clouds of some sentences; raises ``KeyError`` for a text that was never embedded."""
        places = np.searchsorted(self._hashes, np.array(hashes, dtype=np.uint64))
        if (self._hashes[np.minimum(places, len(self._hashes) - 1)] != np.array(hashes)).any():
            raise KeyError("teacher embeddings: a pivot sentence is not in the cache; run `optical-ray prepare` again")
        return stack_cloud([self._vectors[int(place)] for place in places])


def stack_cloud(rows: Sequence[NDArray[np.generic]]) -> TokenEmbeddings:
    """Vectors (n_i, D) of some texts as one padded cloud, in float32."""
    longest, dim = max(len(row) for row in rows), rows[0].shape[1]
    vectors = np.zeros((len(rows), longest, dim), dtype=np.float32)
    mask = np.zeros((len(rows), longest), dtype=bool)
    for index, row in enumerate(rows):
        vectors[index, : len(row)] = row
        mask[index, : len(row)] = True
    return TokenEmbeddings(torch.from_numpy(vectors), torch.from_numpy(mask))


@dataclass(frozen=True)
class PairStream:
    """The batches of one trial; ``batch(step, rank, world)`` is a pure function of its arguments."""

    mixture: Mixture
    languages: Mapping[str, BitextTokens]
    embeddings: TeacherEmbeddings | None
    pad: int
    teacher_pad: int

    def batch(self, step: int, rank: int, num_workers: int) -> PairBatch:
        """The part of batch ``step`` that worker ``rank`` of ``num_workers`` reads."""
        tables = list(self.languages.values())
        language, row = self.mixture.batch(step)
        mine = [
            (tables[int(where)], int(index))
            for where, index in zip(language[rank::num_workers], row[rank::num_workers], strict=True)
        ]
        teacher = (
            pad_ids([table.ids("teacher", index) for table, index in mine], self.teacher_pad)
            if self.embeddings is None
            else self.embeddings.cloud([table.pivot_hash(index) for table, index in mine])
        )
        return PairBatch(
            foreign=pad_ids([table.ids("foreign", index) for table, index in mine], self.pad),
            pivot=pad_ids([table.ids("pivot", index) for table, index in mine], self.pad),
            teacher=teacher,
        )
