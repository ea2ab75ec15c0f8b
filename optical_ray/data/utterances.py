"""Labelled utterances that languages share by id (MTOP, MASSIVE), and the collections and pairs built from them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from optical_ray.data.collection_assembly import split_by_id
from optical_ray.data.messages import listed
from optical_ray.data.scripts import normalise
from optical_ray.types import Collection, Document, InputError, Qrels, RelevancePair, Topic

Task = Literal["intent", "parallel", "frame", "graded"]
TASKS = ("intent", "parallel", "frame", "graded")
GRADED_RULE = 2
"""Version of the task ``graded``; part of a collection's fingerprint."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance: ``utterance_id`` is that of all its translations, ``slots`` are the sorted names of its slots."""

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
        """Return language -> its partitions, both sorted."""

    @abstractmethod
    def read(self, language: str, partition: str) -> Sequence[Utterance]:
        """Return the utterances in the order of the file; raises ``InputError``, e.g. for an id that occurs twice."""

    @abstractmethod
    def digests(self) -> Sequence[str]:
        """Return name and digest of each file that is read, in an order that never changes."""

    def require(self, language: str, partition: str) -> None:
        """Raise ``InputError`` with the existing ones if ``language`` or its ``partition`` does not exist."""
        known = self.partitions()
        if language not in known:
            raise InputError(f"{self}: language {language!r} is not in the data (has: {listed(known)})")
        if partition not in known[language]:
            raise InputError(
                f"{self}: {language} has no partition {partition!r} (has: {listed(known[language])}); name another "
                "one (eval_partition, test_partition; if both name the same, its topics are divided)"
            )


def in_hash_order(ids: Sequence[str]) -> list[str]:
    """Return ``ids`` sorted by their hash, so that a smaller selection is part of every larger one."""
    return sorted(ids, key=lambda identity: hashlib.sha256(identity.encode()).digest())


def relevance_grades(task: Task) -> Callable[[Utterance, Utterance], int]:
    """Return the function that grades (topic, document) in ``task``.

    ``intent``: 1 for the same intent; ``parallel``: 1 for the same id; ``frame``: 1 for the same intent and slots;
    ``graded``: 3 for the same id (a translation, whose slots may be annotated differently), else 2 for the same frame,
    else 1 for the same intent.
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
    """Return ``utterances`` without empty ones and without repetitions of a normalised text; both are counted."""
    seen: set[str] = set()
    kept = []
    for utterance in utterances:
        text = normalise(utterance.text)
        if not text or text in seen:
            reason = f"{noun} that repeat a text" if text else f"{noun} without text"
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        seen.add(text)
        kept.append(utterance)
    return kept


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
        relevant = {doc_id: value for doc_id, value in judged.items() if value}
        if relevant:
            grades[topic.utterance_id] = relevant
    if len(grades) < len(topics):
        dropped["topics without a relevant document"] = len(topics) - len(grades)
    if not grades:
        raise InputError(
            f"{name}: no topic of split {split} has a relevant document (task {task}, {len(topics)} topics); check the "
            "labels of the utterances"
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
    """The properties of which a document must share one with a topic to be relevant."""
    identity, intents = ("id", utterance.utterance_id), (("intent", utterance.intent),) if utterance.intent else ()
    return {"parallel": (identity,), "graded": (identity, *intents)}.get(task, intents)


def divide(utterances: Sequence[Utterance], split: str, eval_fraction: float, salt: str = "") -> list[Utterance]:
    """Return the utterances of one of two splits, by a hash of the id; see ``split_by_id``."""
    chosen = split_by_id([Topic(u.utterance_id, u.text, "") for u in utterances], split, eval_fraction, salt)
    ids = {topic.topic_id for topic in chosen}
    return [utterance for utterance in utterances if utterance.utterance_id in ids]


def intent_pairs(utterances: Sequence[Utterance]) -> Iterator[RelevancePair]:
    """Yield each utterance with the next one of its intent in hash order; single and unlabelled ones have no pair."""
    by_intent: dict[str, list[str]] = {}
    texts = {utterance.utterance_id: utterance.text for utterance in utterances}
    intents = {utterance.utterance_id: utterance.intent for utterance in utterances}
    for identity in in_hash_order([identity for identity, intent in intents.items() if intent]):
        by_intent.setdefault(intents[identity], []).append(identity)
    following = {
        identity: ids[(index + 1) % len(ids)]
        for ids in by_intent.values()
        if len(ids) > 1
        for index, identity in enumerate(ids)
    }
    for utterance in utterances:
        if utterance.utterance_id in following:
            yield RelevancePair(utterance.text, texts[following[utterance.utterance_id]])
