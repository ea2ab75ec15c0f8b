"""The teacher's vectors of the pivot's sentences, made once for a study and read by every trial."""

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
"""Clouds read after which the pages that they lay on go back to the system."""


class TeacherEmbeddings:
    """The teacher's vectors of every pivot sentence of a study, memory-mapped, found by the text's digest."""

    def __init__(self, folder: Path):
        self._hashes = np.load(folder / "hashes.npy", mmap_mode="r")
        self._vectors = Ragged.open(folder, "vectors")
        self._norms = Ragged.open(folder, "norms")
        self._pieces = Ragged.open(folder, "pieces")
        self._taken = 0

    def cloud(self, hashes: Sequence[np.uint64]) -> TokenEmbeddings:
        """The clouds of some sentences; raises ``KeyError`` for a text that was never embedded."""
        places = self._places(hashes)
        cloud = padded([self._vectors[place] for place in places])
        norms = torch.from_numpy(padded_matrix([self._norms[place] for place in places], 0, np.float32))
        return TokenEmbeddings(cloud.vectors, cloud.mask, norms)

    def pieces(self, hashes: Sequence[np.uint64]) -> list[NDArray[np.generic]]:
        """The piece that each vector of some sentences stands for."""
        return [self._pieces[place] for place in self._places(hashes)]

    def _places(self, hashes: Sequence[np.uint64]) -> list[int]:
        places = np.searchsorted(self._hashes, np.array(hashes, dtype=np.uint64))
        if (self._hashes[np.minimum(places, len(self._hashes) - 1)] != np.array(hashes)).any():
            raise KeyError("teacher embeddings: a pivot sentence is not in the cache; run `optical-ray prepare` again")
        self._taken += len(hashes)
        if self._taken >= RELEASE_AFTER:
            self._taken = 0
            for table in (self._vectors, self._norms, self._pieces):
                table.release()
            release(self._hashes)
        found: list[int] = places.tolist()
        return found
