"""Labelled utterances that languages share by id (MTOP, MASSIVE), and what retrieval is made of them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from optical_ray.data.collection_assembly import split_by_id
from optical_ray.data.normalise import normalise
from optical_ray.types import Collection, Document, InputError, Qrels, RelevancePair, Topic

Task = Literal["intent", "parallel", "frame", "graded"]
TASKS = ("intent", "parallel", "frame", "graded")
GRADED_RULE = 2
"""Of the task ``graded``; part of a collection's fingerprint."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance; ``utterance_id`` is shared by its translations, ``slots`` are the names of its slots, sorted."""

    utterance_id: str
    text: str
    intent: str
    slots: tuple[str, ...]

    @property
    def frame(self) -> tuple[str, tuple[str, ...]]:
        """Intent and set of slots."""
        return self.intent, self.slots


class UtteranceSource(ABC):
    """The files of one data set."""

    @abstractmethod
    def partitions(self) -> Mapping[str, Sequence[str]]:
        """Language -> partitions that it has, both sorted."""

    @abstractmethod
    def read(self, language: str, partition: str) -> Sequence[Utterance]:
        """The utterances in the order of the file, ids unique; raises ``InputError`` with file and line."""

    @abstractmethod
    def digests(self) -> Sequence[str]:
        """Name and digest of each file that is read, in an order that never changes."""

    def require(self, language: str, partition: str) -> None:
        """Raise ``InputError`` where ``language`` lacks ``partition``, naming what there is."""
        there = self.partitions()
        if language not in there:
            raise InputError(f"{self}: language {language!r} is not in the data (has: {', '.join(there)})")
        if partition not in there[language]:
            raise InputError(
                f"{self}: {language} has no partition {partition!r} (has: {', '.join(there[language])}); name another "
                "one (eval_partition, test_partition; where both name the same, its topics are divided)"
            )


def in_hash_order(ids: Sequence[str]) -> list[str]:
    """Return ``ids`` in an order that depends on each id alone: the first n are part of the first n + 1."""
    return sorted(ids, key=lambda identity: hashlib.sha256(identity.encode()).digest())


def relevance_grades(task: Task) -> Callable[[Utterance, Utterance], int]:
    """Return the judgement of (topic, document) in ``task``.

    ``intent``: same intent 1; ``parallel``: same id 1; ``frame``: same intent and slots 1; ``graded``: same id 3
    (a translation, whose slots may be annotated in another way), else same frame 2, else same intent 1.
    """

    def graded(topic: Utterance, document: Utterance) -> int:
        if topic.utterance_id == document.utterance_id:
            return 3
        return 2 if topic.frame == document.frame else int(topic.intent == document.intent)

    return {
        "intent": lambda topic, document: int(topic.intent == document.intent),
        "parallel": lambda topic, document: int(topic.utterance_id == document.utterance_id),
        "frame": lambda topic, document: int(topic.frame == document.frame),
        "graded": graded,
    }[task]


def without_repeats(utterances: Sequence[Utterance], dropped: dict[str, int], noun: str) -> list[Utterance]:
    """Return ``utterances`` without empty ones and without those whose normalised text came before, both counted."""
    seen: set[str] = set()
    left = []
    for utterance in utterances:
        text = normalise(utterance.text)
        if not text or text in seen:
            reason = f"{noun} that repeat a text" if text else f"{noun} without text"
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        seen.add(text)
        left.append(utterance)
    return left


def utterance_collection(
    name: str,
    split: str,
    topics: Sequence[Utterance],
    documents: Sequence[Utterance],
    task: Task,
    languages: tuple[str, str],
    licence: str,
    dropped: dict[str, int],
) -> Collection:
    """Judge every document for every topic; topics without a relevant document are dropped and counted.

    ``languages`` are those of topics and documents.
    """
    grade = relevance_grades(task)
    candidates: dict[tuple[str, str], list[Utterance]] = {}
    for document in documents:
        for needed in _needed(task, document):
            candidates.setdefault(needed, []).append(document)
    grades: dict[str, dict[str, int]] = {}
    for topic in topics:
        others = (other for needed in _needed(task, topic) for other in candidates.get(needed, ()))
        judged = {other.utterance_id: grade(topic, other) for other in others}
        relevant = {doc_id: found for doc_id, found in judged.items() if found}
        if relevant:
            grades[topic.utterance_id] = relevant
    if len(grades) < len(topics):
        dropped["topics without a relevant document"] = len(topics) - len(grades)
    if not grades:
        raise InputError(
            f"{name}: no topic of split {split} has a relevant document (task {task}, {len(topics)} topics)"
        )
    return Collection(
        name=name,
        split=split,
        topics=[Topic(t.utterance_id, t.text, languages[0]) for t in topics if t.utterance_id in grades],
        documents=[Document(d.utterance_id, d.text, languages[1]) for d in documents],
        qrels=Qrels(grades),
        licence=licence,
        dropped=dropped,
        groups={t.utterance_id: t.intent for t in topics if t.utterance_id in grades},
    )


def _needed(task: Task, utterance: Utterance) -> tuple[tuple[str, str], ...]:
    """What of it a document must share with a topic to be relevant at all: any one of these."""
    identity, intent = ("id", utterance.utterance_id), ("intent", utterance.intent)
    return {"parallel": (identity,), "graded": (identity, intent)}.get(task, (intent,))


def divide(utterances: Sequence[Utterance], split: str, eval_fraction: float, salt: str = "") -> list[Utterance]:
    """Return those of one of two splits, told by a hash of the id; see ``split_by_id``."""
    chosen = split_by_id([Topic(u.utterance_id, u.text, "") for u in utterances], split, eval_fraction, salt)
    ids = {topic.topic_id for topic in chosen}
    return [utterance for utterance in utterances if utterance.utterance_id in ids]


def intent_pairs(utterances: Sequence[Utterance]) -> Iterator[RelevancePair]:
    """Yield each utterance with the next of its intent in hash order; intents with one utterance give none."""
    by_intent: dict[str, list[str]] = {}
    texts = {utterance.utterance_id: utterance.text for utterance in utterances}
    intents = {utterance.utterance_id: utterance.intent for utterance in utterances}
    for identity in in_hash_order(list(texts)):
        by_intent.setdefault(intents[identity], []).append(identity)
    following = {
        identity: ids[(place + 1) % len(ids)]
        for ids in by_intent.values()
        if len(ids) > 1
        for place, identity in enumerate(ids)
    }
    for identity, other in (
        (utterance.utterance_id, following.get(utterance.utterance_id)) for utterance in utterances
    ):
        if other is not None:
            yield RelevancePair(texts[identity], texts[other])
