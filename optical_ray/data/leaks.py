"""Leaks: training pairs that contain the text of an evaluation topic or document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optical_ray.data.scripts import letters_only, normalise
from optical_ray.types import Collection

NO_SETS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Leaks:
    """The leaked pairs of a bitext.

    ``rows`` are their positions, sorted. ``counts`` is the number of leaked pairs by the set that they share a text
    with, e.g. ``{"trec/sw eval topics": 3}``; a pair may count several times. ``near_identical`` is the number of pairs
    whose text differs from the evaluation text in spaces, punctuation or invisible characters.
    """

    rows: npt.NDArray[np.int64]
    counts: dict[str, int]
    near_identical: int = 0


class EvaluationTexts:
    """The sets (topics or documents of a split of a collection) that contain a text.

    Texts are compared by their letters, digits and marks (``scripts.letters_only``). Only hashes are kept, of the order
    of 200 bytes for each text.
    """

    def __init__(self, collections: Iterable[Collection] = ()) -> None:
        self._sets: dict[int, frozenset[str]] = {}
        self._identical: set[int] = set()
        self._joined: dict[tuple[frozenset[str], str], frozenset[str]] = {}
        self.names: list[str] = []
        for collection in collections:
            self.add_collection(collection.name, collection)

    def add_collection(self, name: str, collection: Collection) -> None:
        """Add the topics and the documents of one split of a collection, called ``name``."""
        self.add(f"{name} {collection.split} topics", (topic.text for topic in collection.topics))
        self.add(f"{name} {collection.split} documents", (document.text for document in collection.documents))

    def add(self, name: str, texts: Iterable[str]) -> None:
        """Add a set of texts that must not occur in training data."""
        self.names.append(name)
        for text in texts:
            key = hash(letters_only(text))
            known = self._sets.get(key, NO_SETS)
            if (known, name) not in self._joined:
                self._joined[known, name] = known | {name}
            self._sets[key] = self._joined[known, name]
            self._identical.add(hash(normalise(text)))

    def sets_with(self, text: str) -> frozenset[str]:
        """Return the names of the sets that contain ``text``."""
        return self._sets.get(hash(letters_only(text)), NO_SETS)

    def has_identical(self, text: str) -> bool:
        """Whether a set contains ``text`` with the same spaces and punctuation (see ``scripts.normalise``)."""
        return hash(normalise(text)) in self._identical


def find_leaks(batches: Iterable[pa.RecordBatch], evaluation: EvaluationTexts) -> Leaks:
    """Compare both sides of every pair (``BITEXT_SCHEMA``) with the evaluation texts, whatever the language.

    The counts list every set of ``evaluation``, also those without a leak, to show that they were compared.
    """
    counts = dict.fromkeys(evaluation.names, 0)
    rows: list[int] = []
    start = near_identical = 0
    for batch in batches:
        sides = zip(batch.column("pivot").to_pylist(), batch.column("foreign").to_pylist(), strict=True)
        for position, (pivot, foreign) in enumerate(sides, start):
            if leaked := evaluation.sets_with(pivot) | evaluation.sets_with(foreign):
                rows.append(position)
                near_identical += not (evaluation.has_identical(pivot) or evaluation.has_identical(foreign))
                for name in leaked:
                    counts[name] += 1
        start += len(batch)
    return Leaks(np.array(rows, np.int64), counts, near_identical)
