"""The sentences that several languages share: what a comparison with matched content trains on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from optical_ray.types import InputError


class IdBatches(Protocol):
    """Rows in Arrow batches with a column ``id``, such as a ``ShardReader`` gives."""

    def batches(self) -> Iterable[Any]:
        """All rows in their order."""


def matched_rows(readers: Mapping[str, IdBatches]) -> dict[str, npt.NDArray[np.int64]]:
    """Return for each language the rows whose ids all languages have; see ``matched_places``."""
    return matched_places({language: _hashes(reader) for language, reader in readers.items()})


def matched_places(hashes: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.int64]]:
    """Return for each language the rows whose ids all languages have, in one order: row k of each has the same id.

    ``hashes`` are those of the ids, in the order of the rows. The order is that of the first language; of an id that
    occurs twice the first row counts. A mixture with ``content: matched`` over ``len(rows)`` pairs of each language
    then draws places in these arrays. Takes eight bytes for each row and language. Raises ``InputError`` where the
    languages share no id.
    """
    found = {language: np.unique(some, return_index=True) for language, some in hashes.items()}
    (first, (shared, first_row)), *others = found.items()
    for _, (unique, _) in others:
        keep = np.isin(shared, unique, assume_unique=True)
        shared, first_row = shared[keep], first_row[keep]
    if not len(shared):
        sizes = ", ".join(f"{language} {len(some)}" for language, some in hashes.items())
        raise InputError(
            f"content: matched, but {', '.join(hashes)} share no sentence (pairs: {sizes}); use multi-parallel bitext "
            "or content: independent"
        )
    order = np.argsort(first_row)
    shared = shared[order]
    rows = {first: first_row[order].astype(np.int64)}
    for language, (unique, row) in others:
        rows[language] = row[np.searchsorted(unique, shared)].astype(np.int64)
    return rows


def _hashes(reader: IdBatches) -> npt.NDArray[np.int64]:
    parts = [np.fromiter(map(hash, batch.column("id").to_pylist()), np.int64, len(batch)) for batch in reader.batches()]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
