"""One language's sentence pairs in pieces, read from disk row by row."""

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
    """One language's tokenised pairs, from one dataset or several behind each other, read from disk row by row.

    A folder holds ``foreign`` and ``pivot`` (the student's pieces), ``teacher`` (the teacher's pieces of the pivot),
    ``pivot_hash.npy`` (64-bit digest of the pivot's text: the key of its teacher embeddings), ``id_hash.npy`` (of the
    pair's id: equal in all languages of a multi-parallel bitext), and for each side ``<side>_rows.npy`` (in how many
    rows a piece occurs). ``leaks`` names for each folder the one whose
    ``rows.npy`` lists the rows to leave out; rows are counted without them. Memory is that of the left-out rows.
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

    def idf(self, side: str) -> NDArray[np.float32]:
        """log((1 + rows) / (1 + rows that hold the piece)), by piece, over all of the table's files."""
        counts: NDArray[np.int64] = np.sum([np.load(folder / f"{side}_rows.npy") for folder in self._folders], axis=0)
        found: NDArray[np.float32] = np.log((1 + int(self._starts[-1])) / (1 + counts)).astype(np.float32)
        return found

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
