"""The teacher's token embeddings of the pivot sentences, computed once per study and read by every trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from optical_ray.data.ragged import Ragged, padded_matrix, release
from optical_ray.ranking import padded
from optical_ray.retrieval.embeddings import TokenEmbeddings

RELEASE_AFTER = 256
"""Sentences that are read before their pages are returned to the system."""


class TeacherEmbeddings:
    """The teacher's token embeddings of a study's pivot sentences, memory-mapped and indexed by the text's digest."""

    def __init__(self, folder: Path):
        self._hashes = np.load(folder / "hashes.npy", mmap_mode="r")
        self._vectors = Ragged.open(folder, "vectors")
        self._norms = Ragged.open(folder, "norms")
        self._pieces = Ragged.open(folder, "pieces")
        self._num_read = 0

    def token_embeddings(self, hashes: Sequence[np.uint64]) -> TokenEmbeddings:
        """Return the token embeddings of the sentences with ``hashes``; raises ``KeyError`` if one is missing."""
        rows = self._rows(hashes)
        embeddings = padded([self._vectors[row] for row in rows])
        norms = torch.from_numpy(padded_matrix([self._norms[row] for row in rows], 0, np.float32))
        return TokenEmbeddings(embeddings.vectors, embeddings.mask, norms)

    def pieces(self, hashes: Sequence[np.uint64]) -> list[NDArray[np.generic]]:
        """Return the token id of each embedding of the sentences with ``hashes``."""
        return [self._pieces[row] for row in self._rows(hashes)]

    def _rows(self, hashes: Sequence[np.uint64]) -> list[int]:
        rows = np.searchsorted(self._hashes, np.array(hashes, dtype=np.uint64))
        if (self._hashes[np.minimum(rows, len(self._hashes) - 1)] != np.array(hashes)).any():
            raise KeyError("teacher embeddings: a pivot sentence is not in the cache. Run `optical-ray prepare` again.")
        self._num_read += len(hashes)
        if self._num_read >= RELEASE_AFTER:
            self._num_read = 0
            for table in (self._vectors, self._norms, self._pieces):
                table.release()
            release(self._hashes)
        positions: list[int] = rows.tolist()
        return positions
