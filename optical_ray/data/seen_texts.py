"""A set of texts that were met, for finding repeats among hundreds of millions at eight bytes a text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class SeenTexts:
    """Hashes in sorted runs; a run is merged with its neighbour when that is not at least twice as long.

    Two different texts of n have the same hash with a probability of about n² / 2^65.
    """

    def __init__(self) -> None:
        self._runs: list[npt.NDArray[np.int64]] = []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def contains(self, hashes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Say for each of ``hashes`` whether it was added before."""
        order = np.argsort(hashes)
        asked = hashes[order]  # in order, so that the search walks through memory forwards
        found = np.zeros(len(hashes), dtype=np.bool_)
        for run in self._runs:
            position = np.minimum(np.searchsorted(run, asked), len(run) - 1)
            found[order] |= run[position] == asked
        return found

    def add(self, hashes: npt.NDArray[np.int64]) -> None:
        """Add ``hashes``, none of which is in the set yet."""
        if not len(hashes):
            return
        self._runs.append(np.sort(hashes))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]), kind="stable")
