"""What every dataset adapter offers. An adapter is a frozen dataclass with a ``kind``, in a file of its own in
``data/datasets/``; it may play up to three roles, one class for each: bitext, collection, relevance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from optical_ray.registry import Configurable
from optical_ray.types import Collection, RelevancePair

BITEXT_SCHEMA = pa.schema([("id", pa.string()), ("pivot", pa.string()), ("foreign", pa.string())])
"""A sentence pair: an id, shared by all languages where the bitext is multi-parallel, the pivot's text, the other's."""


@dataclass
class Counts:
    """What reading met: rows kept, and rows dropped by reason; filled while the iterator runs."""

    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        """Count one row as left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


class BitextDataset(Configurable, ABC):
    """Sentence pairs between the pivot (English) and each of several languages."""

    kind: str

    @abstractmethod
    def languages(self) -> tuple[str, ...]:
        """The languages that have text, sorted; raises ``InputError`` where the source is missing or malformed."""

    @abstractmethod
    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the pairs of ``language`` as batches of ``BITEXT_SCHEMA``, in an order that never changes."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of the content (never of a path): equal data, equal fingerprint. Hex."""

    @property
    @abstractmethod
    def licence(self) -> str:
        """Licence and origin, one line."""


class CollectionDataset(Configurable, ABC):
    """A retrieval test collection for one target language, with an ``eval`` and a ``test`` split.

    Choices are made on ``eval`` and reported on ``test``.
    """

    kind: str

    @abstractmethod
    def load(self, split: str) -> Collection:
        """Read the split ``eval`` or ``test``; raises ``InputError`` with file and line."""

    def topic_texts(self, split: str, language: str) -> Mapping[str, str] | None:
        """The topics of ``split`` in another ``language`` by topic id, where the data has them; else ``None``.

        What baselines read that search in the documents' own language. More topics than ``load`` gives do no harm.
        """
        return None

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of the content (never of a path). Hex."""

    @property
    def licence(self) -> str:
        """Licence and origin, one line; what ``load`` gives says the same."""
        return "not stated"


class RelevanceDataset(Configurable, ABC):
    """Query-document pairs in the pivot language, for training a teacher."""

    kind: str

    @abstractmethod
    def pairs(self, counts: Counts, negatives: int = 0) -> Iterator[RelevancePair]:
        """Yield the training pairs in an order that never changes; ``counts`` learns what is left out.

        Each has its first ``negatives`` hard negatives, with their scores, as far as the data has any.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of the content (never of a path). Hex."""

    @property
    @abstractmethod
    def licence(self) -> str:
        """Licence and origin, one line."""
