"""Ragged arrays: rows of different lengths in two flat files, written as a stream and read memory-mapped."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from optical_ray.study.files import read_json, write_json


@dataclass(frozen=True)
class Ragged:
    """A ragged array: row ``i`` is ``values[offsets[i]:offsets[i + 1]]``; ``values`` is (T, ...)."""

    values: NDArray[np.generic]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.generic]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Lengths of all rows."""
        return np.diff(self.offsets)

    def slice(self, start: int, end: int) -> Ragged:
        """Return rows ``start`` to ``end``, without a copy."""
        offsets = np.asarray(self.offsets[start : end + 1])
        return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def select(self, rows: NDArray[np.int64]) -> Ragged:
        """Return a copy of the given rows, in that order."""
        lengths = self.lengths_of(rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        parts = [self[int(row)] for row in rows]
        return Ragged(np.concatenate(parts) if parts else self.values[:0], offsets)

    def lengths_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the lengths of ``rows``."""
        lengths: NDArray[np.int64] = self.offsets[rows + 1] - self.offsets[rows]
        return lengths

    def release(self) -> None:
        """Return mapped pages to the system, which reads them again when they are needed."""
        for array in (self.values, self.offsets):
            release(array)

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int]], dtype: DTypeLike = np.int32) -> Ragged:
        """Build the array from rows in memory."""
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return cls(np.fromiter(chain.from_iterable(rows), dtype=dtype, count=offsets[-1]), offsets)

    @classmethod
    def open(cls, folder: Path, name: str) -> Ragged:
        """Map what ``RaggedWriter(folder, name)`` wrote; rows are read from disk when they are used."""
        meta = read_json(folder / f"{name}.json")
        shape = (meta["total"], *meta["shape"])
        path = folder / f"{name}.values"
        mapped = np.memmap(path, dtype=meta["dtype"], mode="r", shape=shape) if meta["total"] else np.empty(shape)
        return cls(mapped, np.load(folder / f"{name}.offsets.npy", mmap_mode="r"))


def release(array: NDArray[np.generic]) -> None:
    """Return the pages of a mapped array to the system; has no effect on other arrays."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


class ArrayFile:
    """A one-dimensional array on disk (raw, or ``.npy``) whose items are read when they are used.

    Nothing is mapped: the memory of a reader does not depend on the size of the file or the order of reading.
    """

    def __init__(self, path: Path, dtype: DTypeLike | None = None):
        mapped = np.load(path, mmap_mode="r") if dtype is None else np.memmap(path, dtype=dtype, mode="r")
        self.dtype: np.dtype[np.generic] = mapped.dtype
        self._size, self._start = len(mapped), mapped.offset
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, end: int) -> NDArray[np.generic]:
        """Return items ``start`` to ``end``."""
        size = self.dtype.itemsize
        return np.frombuffer(os.pread(self._file, (end - start) * size, self._start + start * size), self.dtype)


class RaggedFile:
    """A ragged array of scalars that ``RaggedWriter`` wrote, read row by row; see ``ArrayFile``."""

    def __init__(self, folder: Path, name: str):
        meta = read_json(folder / f"{name}.json")
        self._offsets = ArrayFile(folder / f"{name}.offsets.npy")
        self._values = ArrayFile(folder / f"{name}.values", meta["dtype"]) if meta["total"] else None
        self._empty = np.zeros(0, dtype=meta["dtype"])

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.generic]:
        start, end = self._offsets.read(row, row + 2).tolist()
        return self._empty if self._values is None else self._values.read(start, end)

    def lengths_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the lengths of ``rows``."""
        bounds = [self._offsets.read(row, row + 2) for row in rows.tolist()]
        return np.diff(np.array(bounds, dtype=np.int64).reshape(-1, 2), axis=1)[:, 0]


class RaggedWriter:
    """A context manager that appends rows to ``<name>.values``, and writes the offsets if it ends without an error.

    ``shape`` is the shape of one item: ``()`` for ids, ``(D,)`` for vectors.
    """

    def __init__(self, folder: Path, name: str, dtype: DTypeLike, shape: tuple[int, ...] = ()):
        self._folder, self._name, self._dtype, self._shape = folder, name, np.dtype(dtype), shape
        self._lengths: list[NDArray[np.int64]] = []
        self._stream = open(folder / f"{name}.values", "wb")  # noqa: SIM115 - closed by __exit__

    def append(self, rows: Iterable[NDArray[np.generic] | Sequence[int]]) -> None:
        """Append ``rows``."""
        arrays = [np.asarray(row, dtype=self._dtype).reshape(-1, *self._shape) for row in rows]
        if arrays:
            np.concatenate(arrays).tofile(self._stream)
            self._lengths.append(np.array([len(array) for array in arrays], dtype=np.int64))

    def append_flat(self, values: NDArray[np.generic], lengths: NDArray[np.int64]) -> None:
        """Append rows that are already concatenated in ``values``."""
        np.asarray(values, dtype=self._dtype).tofile(self._stream)
        self._lengths.append(np.asarray(lengths, dtype=np.int64))

    def __enter__(self) -> RaggedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if error is not None:
            return
        lengths = np.concatenate(self._lengths) if self._lengths else np.zeros(0, dtype=np.int64)
        np.save(self._folder / f"{self._name}.offsets.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        meta = {"dtype": self._dtype.str, "shape": list(self._shape), "total": int(lengths.sum())}
        write_json(self._folder / f"{self._name}.json", meta)


def padded_matrix(rows: Sequence[NDArray[np.generic]], pad: float, dtype: DTypeLike) -> NDArray[Any]:
    """Return rows of different lengths as one matrix, with ``pad`` after the shorter ones."""
    longest = max(len(row) for row in rows)
    matrix = np.full((len(rows), longest), pad, dtype=dtype)
    for index, row in enumerate(rows):
        matrix[index, : len(row)] = row
    return matrix
