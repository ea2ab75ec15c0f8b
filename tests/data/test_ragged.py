"""Ragged arrays are read as they were written, mapped or row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ray.data.ragged import ArrayFile, Ragged, RaggedFile, RaggedWriter

ROWS = st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5), min_size=1, max_size=12)


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, cut=st.integers(0, 12))
def test_all_readers_return_the_rows(tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]], cut: int) -> None:
    folder = tmp_path_factory.mktemp("ragged")
    with RaggedWriter(folder, "ids", np.int32) as writer:
        writer.append(rows[:cut])
        rest = rows[cut:]
        flat = np.array([item for row in rest for item in row], dtype=np.int32)
        writer.append_flat(flat, np.array([len(row) for row in rest], dtype=np.int64))
    mapped, read = Ragged.open(folder, "ids"), RaggedFile(folder, "ids")
    places = np.arange(len(rows), dtype=np.int64)[::-1]
    for table in (mapped, read):
        assert len(table) == len(rows)
        assert [table[row].tolist() for row in range(len(rows))] == rows
        assert table.lengths_of(places).tolist() == [len(rows[place]) for place in places]
    mapped.release()
    start, end = min(cut, len(rows)), len(rows)
    assert [row.tolist() for row in map(mapped.slice(start, end).__getitem__, range(end - start))] == rows[start:]
    chosen = mapped.select(places)
    assert [chosen[row].tolist() for row in range(len(rows))] == rows[::-1]


def test_an_array_on_disk_is_read_in_parts(tmp_path: Path) -> None:
    np.save(tmp_path / "hashes.npy", np.arange(10, dtype=np.uint64))
    (tmp_path / "raw").write_bytes(np.arange(7, dtype=np.int16).tobytes())
    assert ArrayFile(tmp_path / "hashes.npy").read(3, 6).tolist() == [3, 4, 5]
    assert ArrayFile(tmp_path / "raw", np.int16).read(5, 7).tolist() == [5, 6]
    assert len(ArrayFile(tmp_path / "raw", np.int16)) == 7
