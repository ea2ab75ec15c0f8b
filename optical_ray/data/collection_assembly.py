"""A collection put together from topics, documents and judgements, with everything that can be wrong about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from optical_ray.types import Collection, Document, InputError, Qrels, Topic

EmptyText = Literal["refuse", "drop"]
SPLITS = ("eval", "test")
TextUnit = TypeVar("TextUnit", Topic, Document)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line of a qrels file; ``where`` is ``file:line``."""

    topic_id: str
    doc_id: str
    grade: int
    where: str


def require_split(name: str, split: str) -> None:
    """Raise ``InputError`` for a split that is neither ``eval`` nor ``test``."""
    if split not in SPLITS:
        raise InputError(f"{name}: split must be eval or test, got {split!r}")


def split_by_id(topics: Sequence[Topic], split: str, eval_fraction: float, salt: str = "") -> list[Topic]:
    """Return the topics of ``split``: a topic is in eval where the hash of its id falls below ``eval_fraction``.

    Divisions with another ``salt`` are independent of each other.
    """
    return [topic for topic in topics if (_unit_hash(salt + topic.topic_id) < eval_fraction) == (split == "eval")]


def require_id(identity: str, where: str, noun: str) -> None:
    """Raise ``InputError`` for an id that is empty or holds white space, which a TREC run cannot hold."""
    if identity.split() != [identity]:
        found = "holds white space" if identity.strip() else "is empty"
        raise InputError(f"{where}: {noun} id {identity!r} {found}, which a TREC run cannot hold; give it another id")


def gather(
    units: Iterable[tuple[str, TextUnit]], noun: str, empty_text: EmptyText, dropped: dict[str, int]
) -> tuple[list[TextUnit], frozenset[str]]:
    """Return the topics or documents of ``(file:line, unit)``, and the ids of those dropped for having no text.

    ``noun`` names them in messages. Raises ``InputError`` for an id that occurs twice or that a run cannot hold and,
    where ``empty_text`` is ``refuse``, for a text of nothing but white space; with ``drop`` that is counted in
    ``dropped``.
    """
    gathered: dict[str, TextUnit] = {}
    empty: set[str] = set()
    for where, unit in units:
        unit_id = unit.topic_id if isinstance(unit, Topic) else unit.doc_id
        require_id(unit_id, where, noun)
        if unit_id in gathered or unit_id in empty:
            raise InputError(f"{where}: {noun} id {unit_id!r} occurs a second time; ids must be unique")
        if unit.text.strip():
            gathered[unit_id] = unit
        elif empty_text == "refuse":
            raise InputError(f"{where}: {noun} {unit_id!r} has no text; mend the file or set empty_text: drop")
        else:
            empty.add(unit_id)
            _count(dropped, f"{noun}s without text")
    return list(gathered.values()), frozenset(empty)


def assemble(
    name: str,
    split: str,
    topics: Sequence[Topic],
    documents: Sequence[Document],
    judgements: Iterable[Judgement],
    *,
    relevance_level: int,
    licence: str,
    dropped: dict[str, int],
    absent_documents: frozenset[str] = frozenset(),
) -> Collection:
    """Join the three; drop and count topics without a relevant document and judgements of other topics.

    ``absent_documents`` are ids that may be judged without being there (dropped for their empty text).
    Raises ``InputError`` for a judgement of any other unknown document, two different judgements of one document for
    one topic, and a collection that is left without topics.
    """
    known = {document.doc_id for document in documents}
    grades: dict[str, dict[str, int]] = {topic.topic_id: {} for topic in topics}
    for judgement in judgements:
        if judgement.doc_id not in known:
            if judgement.doc_id not in absent_documents:
                raise InputError(
                    f"{judgement.where}: document {judgement.doc_id!r} is judged but is not among the {len(known)} "
                    "documents; give the documents that the qrels belong to"
                )
            _count(dropped, "judgements of documents without text")
        elif judgement.topic_id not in grades:
            _count(dropped, "judgements of topics that are not in this split")
        elif grades[judgement.topic_id].setdefault(judgement.doc_id, judgement.grade) != judgement.grade:
            raise InputError(
                f"{judgement.where}: topic {judgement.topic_id!r}, document {judgement.doc_id!r}: grade "
                f"{judgement.grade} here, {grades[judgement.topic_id][judgement.doc_id]} before; keep one"
            )
    answered = [t for t in topics if any(grade >= relevance_level for grade in grades[t.topic_id].values())]
    if len(answered) < len(topics):
        dropped["topics without a relevant document"] = len(topics) - len(answered)
    if not answered:
        raise InputError(
            f"{name}: no topic of split {split} has a document of grade >= {relevance_level} ({len(topics)} topics, "
            f"{len(documents)} documents); check that topics and qrels belong together"
        )
    qrels = Qrels({topic.topic_id: grades[topic.topic_id] for topic in answered}, relevance_level)
    return Collection(name, split, answered, documents, qrels, licence, dropped)


def _unit_hash(identity: str) -> float:
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8]) / 2**64


def _count(dropped: dict[str, int], reason: str) -> None:
    dropped[reason] = dropped.get(reason, 0) + 1
