"""Tokenised bitext on disk to padded batches; which pairs make batch ``step`` is the mixture's word alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from optical_ray.data.matched import matched_places
from optical_ray.data.mixture import Mixture
from optical_ray.data.permutation import permute
from optical_ray.data.ragged import ArrayFile, Ragged, RaggedFile, release
from optical_ray.retrieval.embeddings import TokenEmbeddings

RELEASE_AFTER = 256
"""Clouds read after which the pages that they lay on go back to the system."""


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
    """One language's tokenised pairs, from one dataset or several behind each other, read from disk row by row.

    A folder holds ``foreign`` and ``pivot`` (the student's pieces), ``teacher`` (the teacher's pieces of the pivot),
    ``pivot_hash.npy`` (64-bit digest of the pivot's text: the key of its teacher embeddings) and ``id_hash.npy`` (of
    the pair's id: equal in all languages of a multi-parallel bitext). ``leaks`` names for each folder the one whose
    ``rows.npy`` lists the rows to leave out; rows are counted without them. Memory is that of the left-out rows.
    """

    def __init__(self, folders: Sequence[Path], leaks: Sequence[Path] = ()):
        self._parts = [
            {name: RaggedFile(folder, name) for name in ("foreign", "pivot", "teacher")} for folder in folders
        ]
        self._hashes = [ArrayFile(folder / "pivot_hash.npy") for folder in folders]
        self._ids = [folder / "id_hash.npy" for folder in folders]
        self._starts = np.cumsum([0, *(len(hashes) for hashes in self._hashes)])
        left_out = [np.load(folder / "rows.npy") for folder in leaks] or [np.zeros(0, np.int64) for _ in folders]
        self._left_out = np.concatenate([rows + start for rows, start in zip(left_out, self._starts, strict=False)])
        self._skips = self._left_out - np.arange(len(self._left_out))
        self._chosen: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return int(self._starts[-1]) - len(self._left_out) if self._chosen is None else len(self._chosen)

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in the files the pairs at ``places`` lie: left-out rows are stepped over."""
        if self._chosen is not None:
            return self._chosen[places]
        return places + np.searchsorted(self._skips, places, side="right") if len(self._skips) else places

    def only(self, places: NDArray[np.int64]) -> BitextTokens:
        """The same table with the pairs at ``places`` alone, in that order."""
        found = copy(self)
        found._chosen = self.rows(places)
        return found

    def id_hashes(self) -> NDArray[np.uint64]:
        """The digest of every pair's id; ids of different datasets are never equal."""
        parts = [np.load(path) ^ np.uint64(number) for number, path in enumerate(self._ids)]
        found: NDArray[np.uint64] = np.concatenate(parts)[self.rows(np.arange(len(self), dtype=np.int64))]
        return found

    def _place(self, place: int) -> tuple[int, int]:
        row = int(self.rows(np.array([place], dtype=np.int64))[0])
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        return part, int(row - self._starts[part])

    def ids(self, side: str, place: int) -> NDArray[np.generic]:
        """Piece ids of one side ("foreign", "pivot", "teacher") of one pair."""
        part, index = self._place(place)
        return self._parts[part][side][index]

    def pivot_hash(self, place: int) -> np.uint64:
        """The digest of the pivot's text."""
        part, index = self._place(place)
        return np.uint64(self._hashes[part].read(index, index + 1)[0])

    def lengths(self) -> PairLengths:
        """Pieces of the longer side of pairs, looked up when asked for."""
        return PairLengths(self)

    def lengths_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pieces of the longer side of the pairs at ``places``."""
        rows = self.rows(places)
        part_of = np.searchsorted(self._starts, rows, side="right") - 1
        found = np.empty(len(rows), dtype=np.int64)
        for number, part in enumerate(self._parts):
            mine = part_of == number
            local = rows[mine] - self._starts[number]
            found[mine] = np.maximum(part["foreign"].lengths_of(local), part["pivot"].lengths_of(local))
        return found


@dataclass(frozen=True)
class PairLengths:
    """The lengths of a table's pairs as an array that takes no memory: ``lengths[places]``."""

    table: BitextTokens

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.table.lengths_at(places)


def matched(tables: Mapping[str, BitextTokens]) -> dict[str, BitextTokens]:
    """The tables with the pairs alone whose ids all of them have: pair k of each is the same pivot sentence.

    Raises ``InputError`` where they share none.
    """
    hashes = {language: table.id_hashes() for language, table in tables.items()}
    first, *others = hashes.values()
    if all(np.array_equal(first, other) for other in others):
        return dict(tables)
    return {language: tables[language].only(places) for language, places in matched_places(hashes).items()}


class TeacherEmbeddings:
    """The teacher's vectors of every pivot sentence of a study, memory-mapped, found by the text's digest."""

    def __init__(self, folder: Path):
        self._hashes = np.load(folder / "hashes.npy", mmap_mode="r")
        self._vectors = Ragged.open(folder, "vectors")
        self._taken = 0

    def cloud(self, hashes: Sequence[np.uint64]) -> TokenEmbeddings:
        """The clouds of some sentences; raises ``KeyError`` for a text that was never embedded."""
        places = np.searchsorted(self._hashes, np.array(hashes, dtype=np.uint64))
        if (self._hashes[np.minimum(places, len(self._hashes) - 1)] != np.array(hashes)).any():
            raise KeyError("teacher embeddings: a pivot sentence is not in the cache; run `optical-ray prepare` again")
        self._taken += len(hashes)
        if self._taken >= RELEASE_AFTER:
            self._taken = 0
            self._vectors.release()
            release(self._hashes)
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


Control = Literal["en", "shuffled"]
"""``en``: the pivot stands on both sides of a pair; ``shuffled``: each pivot has the translation of another."""

SHUFFLE_SEED = 1
"""Of the permutation of the translations; one for all, so that replicates shuffle alike."""


@dataclass(frozen=True)
class PairStream:
    """The batches of one trial; ``batch(step, rank, world)`` is a pure function of its arguments."""

    mixture: Mixture
    languages: Mapping[str, BitextTokens]
    embeddings: TeacherEmbeddings | None
    pad: int
    teacher_pad: int
    control: Control | None = None

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
            foreign=pad_ids([self._foreign(table, index) for table, index in mine], self.pad),
            pivot=pad_ids([table.ids("pivot", index) for table, index in mine], self.pad),
            teacher=teacher,
        )

    def _foreign(self, table: BitextTokens, row: int) -> NDArray[np.generic]:
        if self.control == "en":
            return table.ids("pivot", row)
        if self.control == "shuffled":
            row = int(permute(np.array([row], dtype=np.int64), len(table), SHUFFLE_SEED)[0])
        return table.ids("foreign", row)
