"""Leaks: sentence pairs for training that hold the very text of an evaluation topic or document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optical_ray.data.normalise import normalise
from optical_ray.types import Collection

NOWHERE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Leaks:
    """``rows``: positions of the pairs to drop, sorted. ``counts``: pairs by what they give away, e.g.
    ``{"trec/sw eval topics": 3}``; a pair may count several times."""

    rows: npt.NDArray[np.int64]
    counts: dict[str, int]


class EvaluationTexts:
    """Which sets (topics, documents of a collection's split) hold a text.

    Of the texts hashes of the normal form are kept: of the order of 100 bytes for each.
    """

    def __init__(self, collections: Iterable[Collection] = ()) -> None:
        self._sets: dict[int, frozenset[str]] = {}
        self._joined: dict[tuple[frozenset[str], str], frozenset[str]] = {}
        self.names: list[str] = []
        for collection in collections:
            self.add_collection(collection.name, collection)

    def add_collection(self, name: str, collection: Collection) -> None:
        """Add the topics and the documents of one split of a collection, called ``name``."""
        self.add(f"{name} {collection.split} topics", (topic.text for topic in collection.topics))
        self.add(f"{name} {collection.split} documents", (document.text for document in collection.documents))

    def add(self, name: str, texts: Iterable[str]) -> None:
        """Add a set of texts that training must not see."""
        self.names.append(name)
        for text in texts:
            key = hash(normalise(text))
            known = self._sets.get(key, NOWHERE)
            if (known, name) not in self._joined:
                self._joined[known, name] = known | {name}
            self._sets[key] = self._joined[known, name]

    def sets_with(self, text: str) -> frozenset[str]:
        """Return the names of the sets that have ``text``."""
        return self._sets.get(hash(normalise(text)), NOWHERE)


def find_leaks(batches: Iterable[pa.RecordBatch], evaluation: EvaluationTexts) -> Leaks:
    """Compare both sides of every pair (``BITEXT_SCHEMA``) with the evaluation texts, whatever the language.

    Every set of ``evaluation`` is among the counts, also with 0: that it was looked at is part of the answer.
    """
    counts = dict.fromkeys(evaluation.names, 0)
    rows: list[int] = []
    start = 0
    for batch in batches:
        sides = zip(batch.column("pivot").to_pylist(), batch.column("foreign").to_pylist(), strict=True)
        for position, (pivot, foreign) in enumerate(sides, start):
            if leaked := evaluation.sets_with(pivot) | evaluation.sets_with(foreign):
                rows.append(position)
                for name in leaked:
                    counts[name] += 1
        start += len(batch)
    return Leaks(np.array(rows, np.int64), counts)


def without_rows(batches: Iterable[pa.RecordBatch], rows: npt.NDArray[np.int64]) -> Iterable[pa.RecordBatch]:
    """Yield ``batches`` without the ``rows`` (sorted positions over all of them)."""
    start = 0
    for batch in batches:
        end = start + len(batch)
        inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)] - start
        keep = np.ones(len(batch), np.bool_)
        keep[inside] = False
        yield batch.filter(pa.array(keep)) if len(inside) else batch
        start = end
