"""What every data set offers.

A data set is a frozen dataclass with a ``kind``, in a file of its own in ``data/datasets/``. It plays up to three
roles, one class for each: bitext, collection, relevance.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from optical_ray.registry import Configurable
from optical_ray.types import Collection, RelevancePair

BITEXT_SCHEMA = pa.schema([("id", pa.string()), ("pivot", pa.string()), ("foreign", pa.string())])
"""A sentence pair: an id, which all languages of a multi-parallel bitext share, and the texts of both sides."""

BATCH_ROWS = 8192


@dataclass
class Counts:
    """The number of rows that reading kept, and of those it dropped by reason; filled while the iterator runs."""

    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        """Count one row as dropped."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


class Dataset(Configurable, ABC):
    """What the three roles have in common."""

    kind: str

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write a small example of the data set's files to ``folder``; return the options that read it.

        The contract suite reads the example of every data set. This default is for data sets that need no files and
        no options.
        """
        return {}

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a digest (sha256, hex) of the content, never of a path: equal data gives equal fingerprints."""


class BitextDataset(Dataset):
    """Sentence pairs between the pivot (English) and each of several languages."""

    @abstractmethod
    def languages(self) -> tuple[str, ...]:
        """Return the languages that have text, sorted; raises ``InputError`` if the source is missing or malformed."""

    @abstractmethod
    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the pairs of ``language`` as batches of ``BITEXT_SCHEMA``, in an order that never changes."""

    @property
    @abstractmethod
    def licence(self) -> str:
        """Licence and origin, one line."""


class CollectionDataset(Dataset):
    """A retrieval test collection for one target language, with the splits ``eval`` and ``test``.

    Choices are made on ``eval`` and reported on ``test``.
    """

    @abstractmethod
    def load(self, split: str) -> Collection:
        """Read the split ``eval`` or ``test``; raises ``InputError`` with file and line."""

    def topic_texts(self, split: str, language: str) -> Mapping[str, str] | None:
        """Return the topics of ``split`` in another ``language`` by topic id, or ``None`` if the data has none.

        Baselines that search in the documents' own language read them. It may hold more topics than ``load`` returns.
        """
        return None

    @property
    def licence(self) -> str:
        """Licence and origin, one line; equals the licence of what ``load`` returns."""
        return "not stated"


class RelevanceDataset(Dataset):
    """Query-document pairs in the pivot language, for training a teacher."""

    @abstractmethod
    def pairs(self, counts: Counts, negatives: int = 0) -> Iterator[RelevancePair]:
        """Yield the training pairs in an order that never changes, and count dropped ones in ``counts``.

        Each pair has its first ``negatives`` hard negatives and their scores, as far as the data has them.
        """

    @property
    @abstractmethod
    def licence(self) -> str:
        """Licence and origin, one line."""


def pair_batches(pairs: Iterable[tuple[str, str, str]], counts: Counts) -> Iterator[pa.RecordBatch]:
    """Gather ``(id, pivot, foreign)`` into batches of ``BITEXT_SCHEMA``, and count every pair as kept."""
    remaining = iter(pairs)
    while rows := list(islice(remaining, BATCH_ROWS)):
        counts.kept += len(rows)
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=BITEXT_SCHEMA)


def fingerprint(settings: Mapping[str, Any], digests: Iterable[str]) -> str:
    """Return one sha256 (hex) over the ``settings`` (JSON values, in any order) and the ``digests``, in this order."""
    canonical = json.dumps([dict(settings), list(digests)], sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
