"""The sentences that several languages share: what a comparison with matched content trains on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from optical_ray.data.shards import ShardReader
from optical_ray.types import InputError


def matched_rows(readers: Mapping[str, ShardReader]) -> dict[str, npt.NDArray[np.int64]]:
    """Return for each language the rows whose ids all languages have, in one order: row k of each has the same id.

    The order is that of the first language; of an id that occurs twice the first row counts. A mixture with
    ``content: matched`` over ``len(rows)`` pairs of each language then draws places in these arrays. Takes eight bytes
    for each row and language. Raises ``InputError`` where the languages share no id.
    """
    found = {language: _first_rows(reader) for language, reader in readers.items()}
    (first, (shared, first_row)), *others = found.items()
    for _, (hashes, _) in others:
        keep = np.isin(shared, hashes, assume_unique=True)
        shared, first_row = shared[keep], first_row[keep]
    if not len(shared):
        sizes = ", ".join(f"{language} {len(reader)}" for language, reader in readers.items())
        raise InputError(
            f"content: matched, but {', '.join(readers)} share no sentence (pairs: {sizes}); use multi-parallel bitext "
            "or content: independent"
        )
    order = np.argsort(first_row)
    shared = shared[order]
    rows = {first: first_row[order]}
    for language, (hashes, row) in others:
        rows[language] = row[np.searchsorted(hashes, shared)]
    return rows


def _first_rows(reader: ShardReader) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the distinct hashes of the ids, sorted, and the first row of each."""
    parts = [np.fromiter(map(hash, batch.column("id").to_pylist()), np.int64, len(batch)) for batch in reader.batches()]
    hashes, rows = np.unique(np.concatenate(parts) if parts else np.empty(0, np.int64), return_index=True)
    return hashes, rows.astype(np.int64)
