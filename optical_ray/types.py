"""The words of the field as types: what flows between the rooms. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Run = dict[str, dict[str, float]]
"""A ranking: ``topic_id -> doc_id -> score`` (higher is better)."""

PerQueryScores = dict[str, dict[str, float]]
"""Scores of one run: ``metric name -> topic_id -> value``."""


class InputError(ValueError):
    """What the user gave cannot be used; the message says where, what was got, what was expected, what to do."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A query."""

    topic_id: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Document:
    """A passage that can be retrieved."""

    doc_id: str
    text: str
    language: str


@dataclass(frozen=True)
class Qrels:
    """Relevance judgements: ``topic_id -> doc_id -> grade``.

    Raises ``InputError`` for a topic without a document of grade >= ``relevance_level``: trec_eval's counters
    are corrupted by such a topic, so it must be dropped (and counted) before.
    """

    grades: Mapping[str, Mapping[str, int]]
    relevance_level: int = 1

    def __post_init__(self) -> None:
        for topic_id, grades in self.grades.items():
            if not any(grade >= self.relevance_level for grade in grades.values()):
                raise InputError(
                    f"qrels: topic {topic_id!r} has no document of grade >= {self.relevance_level}; drop the topic"
                )


@dataclass(frozen=True)
class Collection:
    """One split of a retrieval test collection: topics, documents and their judgements.

    ``dropped`` counts what was left out and why, e.g. ``{"topics without keywords": 53}``. ``groups`` gives topics a
    class (an intent), for a mean over classes if a few of them have most of the topics; empty without classes.
    """

    name: str
    split: str
    topics: Sequence[Topic]
    documents: Sequence[Document]
    qrels: Qrels
    licence: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RelevancePair:
    """A query and a document that answers it, in the pivot language: what a teacher is trained on.

    ``negatives`` are documents that do not answer it, hard ones. ``scores``: what a better judge (a cross-encoder) says
    of the document and then of each negative, on any scale where differences count; empty where nobody was asked.
    Raises ``InputError`` where there are scores of some of them alone.
    """

    query: str
    document: str
    negatives: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.scores and len(self.scores) != 1 + len(self.negatives):
            raise InputError(
                f"scores: got {len(self.scores)}, expected {1 + len(self.negatives)}: of the document and each negative"
            )
