"""One language's tokenized sentence pairs, read from disk row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optical_ray.data.mixture import matched_places
from optical_ray.data.ragged import ArrayFile, RaggedFile


class BitextTokens:
    """One language's tokenized pairs, concatenated from one or several datasets and read from disk row by row.

    A folder contains ``foreign`` and ``pivot`` (token ids of the student), ``teacher`` (the teacher's token ids of the
    pivot), ``pivot_hash.npy`` (64-bit digests of the pivots' texts, the keys of their teacher embeddings),
    ``id_hash.npy`` (digests of the pairs' ids, which are equal in all languages of a multi-parallel bitext), and for
    each side ``<side>_rows.npy`` (the number of rows in which each token occurs). For each folder, ``leaks`` has one
    whose ``rows.npy`` lists the rows to leave out; positions count the other rows. Only these lists are in memory.
    """

    def __init__(self, folders: Sequence[Path], leaks: Sequence[Path] = ()):
        self._parts = [
            {name: RaggedFile(folder, name) for name in ("foreign", "pivot", "teacher")} for folder in folders
        ]
        self._folders = tuple(folders)
        self._hashes = [ArrayFile(folder / "pivot_hash.npy") for folder in folders]
        self._ids = [folder / "id_hash.npy" for folder in folders]
        self._starts = np.cumsum([0, *(len(hashes) for hashes in self._hashes)])
        left_out = [np.load(folder / "rows.npy") for folder in leaks] or [np.zeros(0, np.int64) for _ in folders]
        self._left_out = np.concatenate([rows + start for rows, start in zip(left_out, self._starts, strict=False)])
        self._skips = self._left_out - np.arange(len(self._left_out))
        self._chosen: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return int(self._starts[-1]) - len(self._left_out) if self._chosen is None else len(self._chosen)

    def rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows in the concatenated files of the pairs at ``positions``, which skip the left-out rows."""
        if self._chosen is not None:
            return self._chosen[positions]
        return positions + np.searchsorted(self._skips, positions, side="right") if len(self._skips) else positions

    def only(self, positions: NDArray[np.int64]) -> BitextTokens:
        """Return a table of only the pairs at ``positions``, in that order."""
        table = copy(self)
        table._chosen = self.rows(positions)
        return table

    def id_hashes(self) -> NDArray[np.uint64]:
        """Return the digest of every pair's id; ids of different datasets are not equal."""
        parts = [np.load(path) ^ np.uint64(number) for number, path in enumerate(self._ids)]
        hashes: NDArray[np.uint64] = np.concatenate(parts)[self.rows(np.arange(len(self), dtype=np.int64))]
        return hashes

    def _locate(self, position: int) -> tuple[int, int]:
        """The number of the folder and the row in it."""
        row = int(self.rows(np.array([position], dtype=np.int64))[0])
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        return part, int(row - self._starts[part])

    def ids(self, side: str, position: int) -> NDArray[np.generic]:
        """Return the token ids of one side ("foreign", "pivot", "teacher") of one pair."""
        part, index = self._locate(position)
        return self._parts[part][side][index]

    def idf(self, side: str) -> NDArray[np.float32]:
        """Return log((1 + rows) / (1 + rows with the token)) for each token, over all of the table's files."""
        counts: NDArray[np.int64] = np.sum([np.load(folder / f"{side}_rows.npy") for folder in self._folders], axis=0)
        values: NDArray[np.float32] = np.log((1 + int(self._starts[-1])) / (1 + counts)).astype(np.float32)
        return values

    def pivot_hash(self, position: int) -> np.uint64:
        """Return the digest of the pivot's text."""
        part, index = self._locate(position)
        return np.uint64(self._hashes[part].read(index, index + 1)[0])

    def lengths(self) -> PairLengths:
        """Return the lengths of all pairs, which are read when they are indexed."""
        return PairLengths(self)

    def lengths_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of tokens of the longer side of the pairs at ``positions``."""
        rows = self.rows(positions)
        part_of = np.searchsorted(self._starts, rows, side="right") - 1
        lengths = np.empty(len(rows), dtype=np.int64)
        for number, part in enumerate(self._parts):
            mine = part_of == number
            local = rows[mine] - self._starts[number]
            lengths[mine] = np.maximum(part["foreign"].lengths_of(local), part["pivot"].lengths_of(local))
        return lengths


@dataclass(frozen=True)
class PairLengths:
    """The lengths of a table's pairs as an array that is read from disk: ``lengths[positions]``."""

    table: BitextTokens

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.table.lengths_at(positions)


def matched(tables: Mapping[str, BitextTokens]) -> dict[str, BitextTokens]:
    """Return the tables with only the pairs whose ids are in all of them: pair k of each has the same pivot sentence.

    Raises ``InputError`` if they share no pair.
    """
    hashes = {language: table.id_hashes() for language, table in tables.items()}
    first, *others = hashes.values()
    if all(np.array_equal(first, other) for other in others):
        return dict(tables)
    return {language: tables[language].only(positions) for language, positions in matched_places(hashes).items()}
