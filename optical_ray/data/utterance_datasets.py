"""The three roles of a data set of labelled utterances; each data set adds its ``kind`` and its reader."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from optical_ray.data.collection_assembly import require_fraction, require_id, require_split
from optical_ray.data.interface import (
    BitextDataset,
    CollectionDataset,
    Counts,
    RelevanceDataset,
    fingerprint,
    pair_batches,
)
from optical_ray.data.languages import Language
from optical_ray.data.messages import listed
from optical_ray.data.scripts import normalise
from optical_ray.data.utterances import (
    GRADED_RULE,
    TASKS,
    Task,
    Utterance,
    UtteranceSource,
    divide,
    in_hash_order,
    intent_pairs,
    utterance_collection,
    without_repeats,
)
from optical_ray.types import Collection, InputError, RelevancePair


@dataclass(frozen=True, kw_only=True)
class UtteranceBitext(BitextDataset):
    """Pairs of the utterances of ``partition`` that two languages share by id; any language can be the pivot.

    ``parallel_languages`` keeps only utterances that all of these have, in every language, so that content and amount
    are equal. ``limits`` simulates low-resource languages, e.g. ``{th: 100}``: the first utterances by a hash of the
    id, so that a smaller limit is part of a larger one; a limit of 0 removes the language.
    """

    kind: str = ""
    root: str
    pivot: Language = "en"
    partition: str = "train"
    parallel_languages: tuple[Language, ...] = ()
    limits: dict[Language, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if any(limit < 0 for limit in self.limits.values()):
            below = listed(f"{language} {limit}" for language, limit in self.limits.items() if limit < 0)
            raise InputError(f"limits: must be >= 0, got {below}")

    @abstractmethod
    def source(self) -> UtteranceSource:
        """Return the reader of the files."""

    def languages(self) -> tuple[str, ...]:
        """Return the languages that have the partition, sorted."""
        known = self.source().partitions()
        return tuple(sorted(k for k, parts in known.items() if self.partition in parts and self.limits.get(k) != 0))

    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the pairs in the order of the pivot's file."""
        yield from pair_batches(self._pairs(language, counts), counts)

    def _pairs(self, language: str, counts: Counts) -> Iterator[tuple[str, str, str]]:
        source = self.source()
        if language not in self.languages():
            raise InputError(f"{source}: language {language!r} has no pairs (has: {listed(self.languages())})")
        texts = {k: self._texts(source, k) for k in dict.fromkeys((self.pivot, language, *self.parallel_languages))}
        shared = [identity for identity in texts[self.pivot] if all(identity in other for other in texts.values())]
        if len(shared) < len(texts[self.pivot]):
            counts.dropped["utterances of the pivot without a translation"] = len(texts[self.pivot]) - len(shared)
        limit = self.limits.get(language)
        if limit is not None and limit < len(shared):
            counts.dropped["beyond the limit"] = len(shared) - limit
            chosen = set(in_hash_order(shared)[:limit])
            shared = [identity for identity in shared if identity in chosen]
        for identity in shared:
            if texts[self.pivot][identity].strip() and texts[language][identity].strip():
                yield identity, texts[self.pivot][identity], texts[language][identity]
            else:
                counts.drop("empty")

    def _texts(self, source: UtteranceSource, language: str) -> dict[str, str]:
        source.require(language, self.partition)
        return {utterance.utterance_id: utterance.text for utterance in source.read(language, self.partition)}

    def fingerprint(self) -> str:
        """Return a digest of the files and of every setting except root and licence."""
        return fingerprint(_settings(self, "bitext"), self.source().digests())


@dataclass(frozen=True, kw_only=True)
class UtteranceCollection(CollectionDataset):
    """Topics: utterances in ``language``; documents: utterances in ``document_language`` of the same partition.

    Relevance is defined by ``task``, see ``utterances.relevance_grades``. ``pool: parallel`` has only documents whose
    id the topics' language has too, ``full`` has all. With ``exclude_parallel`` no topic's own translation is in the
    pool: utterances are divided by a hash of the id, one half gives the topics and the other the documents.
    Repeated texts are dropped and counted, and so are eval topics whose text or id is in test too. If
    ``eval_partition`` and ``test_partition`` name the same partition, its topics are divided, ``eval_fraction`` of them
    to eval.
    """

    kind: str = ""
    root: str
    language: Language
    document_language: Language = "en"
    task: Task = "intent"
    pool: Literal["parallel", "full"] = "parallel"
    exclude_parallel: bool = False
    eval_partition: str = "eval"
    test_partition: str = "test"
    eval_fraction: float = 0.3

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"task: must be one of {', '.join(TASKS)}, got {self.task!r}")
        if self.exclude_parallel and self.task == "parallel":
            raise InputError(
                "exclude_parallel: task parallel would have no relevant document; leave out one of the two"
            )
        require_fraction(self.eval_fraction)

    @abstractmethod
    def source(self) -> UtteranceSource:
        """Return the reader of the files."""

    @property
    @abstractmethod
    def licence(self) -> str:
        """Licence and origin, one line."""

    def load(self, split: str) -> Collection:
        """Read the split ``eval`` or ``test``."""
        require_split(self.kind, split)
        dropped: dict[str, int] = {}
        topics = self._topics(split, dropped)
        documents = self._documents(split, dropped)
        if self.exclude_parallel:
            topics = divide(topics, "test", 0.5, salt="topic or document")
            documents = divide(documents, "eval", 0.5, salt="topic or document")
        return utterance_collection(
            f"{self.kind}/{self.task}/{self.language}",
            split,
            topics,
            documents,
            self.task,
            (self.language, self.document_language),
            self.licence,
            dropped,
        )

    def intents(self, split: str) -> dict[str, str]:
        """Return the intent of each topic of ``split``, for means over intents (a few are very frequent)."""
        return {topic.utterance_id: topic.intent for topic in self._topics(split, {})}

    def topic_texts(self, split: str, language: str) -> dict[str, str] | None:
        """Return the utterances of the split's partition in ``language``."""
        if self._partition(split) not in self.source().partitions().get(language, ()):
            return None
        return {u.utterance_id: u.text for u in self._read(language, self._partition(split))}

    def _topics(self, split: str, dropped: dict[str, int]) -> list[Utterance]:
        topics = without_repeats(self._read(self.language, self._partition(split)), dropped, "topics")
        if self.eval_partition == self.test_partition:
            return divide(topics, split, self.eval_fraction)
        other = self.source().partitions().get(self.language, ())
        if split == "eval" and self.test_partition in other:
            tested = self._read(self.language, self.test_partition)
            texts, ids = {normalise(other.text) for other in tested}, {other.utterance_id for other in tested}
            kept = [topic for topic in topics if normalise(topic.text) not in texts and topic.utterance_id not in ids]
            dropped["topics of eval that test has too"] = len(topics) - len(kept)
            return kept
        return topics

    def _documents(self, split: str, dropped: dict[str, int]) -> list[Utterance]:
        partition = self._partition(split)
        documents = list(self._read(self.document_language, partition))
        if self.pool == "parallel":
            ids = {utterance.utterance_id for utterance in self._read(self.language, partition)}
            documents = [document for document in documents if document.utterance_id in ids]
        return without_repeats(documents, dropped, "documents")

    def _partition(self, split: str) -> str:
        return self.eval_partition if split == "eval" else self.test_partition

    def _read(self, language: str, partition: str) -> list[Utterance]:
        source = self.source()
        source.require(language, partition)
        utterances = list(source.read(language, partition))
        for utterance in utterances:
            require_id(utterance.utterance_id, f"{source}: {language}, partition {partition}", "utterance")
        return utterances

    def fingerprint(self) -> str:
        """Return a digest of the files, of every setting except root and licence, and of the rule of ``graded``."""
        rule = {"graded_rule": GRADED_RULE} if self.task == "graded" else {}
        return fingerprint({**_settings(self, "collection"), **rule}, self.source().digests())


@dataclass(frozen=True, kw_only=True)
class UtteranceRelevance(RelevanceDataset):
    """Utterances of the pivot, each with another one of the same intent as the document that answers it."""

    kind: str = ""
    root: str
    pivot: Language = "en"
    partition: str = "train"

    @abstractmethod
    def source(self) -> UtteranceSource:
        """Return the reader of the files."""

    def pairs(self, counts: Counts, negatives: int = 0) -> Iterator[RelevancePair]:
        """Yield the pairs in the order of the file, without repeated texts and intents of a single utterance."""
        self.source().require(self.pivot, self.partition)
        return intent_pairs(
            without_repeats(self.source().read(self.pivot, self.partition), counts.dropped, "utterances")
        )

    def fingerprint(self) -> str:
        """Return a digest of the files and of every setting except root and licence."""
        return fingerprint(_settings(self, "relevance"), self.source().digests())


def _settings(dataset: UtteranceBitext | UtteranceCollection | UtteranceRelevance, role: str) -> dict[str, Any]:
    names = (name for name in dataset.__dataclass_fields__ if name not in ("root", "licence"))
    return {"role": role, **{name: getattr(dataset, name) for name in names}}
