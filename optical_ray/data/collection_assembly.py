"""Building a collection from topics, documents and judgements, with the checks that all formats share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from optical_ray.study.layout import SPLITS
from optical_ray.types import Collection, Document, InputError, Qrels, Topic

EmptyText = Literal["refuse", "drop"]
UnjudgedPool = Literal["refuse", "drop"]
NUM_SHOWN = 3
"""Messages show at most this many ids."""

TextUnit = TypeVar("TextUnit", Topic, Document)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line of a qrels file; ``where`` is ``file:line``."""

    topic_id: str
    doc_id: str
    grade: int
    where: str


def require_split(name: str, split: str) -> None:
    """Raise ``InputError`` unless ``split`` is ``eval`` or ``test``."""
    if split not in SPLITS:
        raise InputError(f"{name}: split must be eval or test, got {split!r}")


def require_fraction(eval_fraction: float) -> None:
    """Raise ``InputError`` unless ``eval_fraction`` is between 0 and 1."""
    if not 0 <= eval_fraction <= 1:
        raise InputError(f"eval_fraction: must be between 0 and 1, got {eval_fraction}")


def split_by_id(topics: Sequence[Topic], split: str, eval_fraction: float, salt: str = "") -> list[Topic]:
    """Return the topics of ``split``: a topic is in eval if the hash of its id is below ``eval_fraction``.

    Divisions with different ``salt`` are independent of each other.
    """
    return [topic for topic in topics if (_unit_hash(salt + topic.topic_id) < eval_fraction) == (split == "eval")]


def require_id(identity: str, where: str, noun: str) -> None:
    """Raise ``InputError`` for an id without any character but white space; other blanks are allowed in ids."""
    if not identity.strip():
        raise InputError(f"{where}: {noun} id {identity[:80]!r} is empty; give it another id")


def gather(
    units: Iterable[tuple[str, TextUnit]], noun: str, empty_text: EmptyText, dropped: dict[str, int]
) -> tuple[list[TextUnit], frozenset[str]]:
    """Return the topics or documents of ``(file:line, unit)``, and the ids of those dropped for having no text.

    ``noun`` names them in messages. Raises ``InputError`` for an id that occurs twice or is empty and, if
    ``empty_text`` is ``refuse``, for a text of white space only; ``drop`` counts such texts in ``dropped``.
    """
    gathered: dict[str, TextUnit] = {}
    empty: set[str] = set()
    for where, unit in units:
        unit_id = unit.topic_id if isinstance(unit, Topic) else unit.doc_id
        require_id(unit_id, where, noun)
        if unit_id in gathered or unit_id in empty:
            raise InputError(f"{where}: {noun} id {unit_id[:80]!r} occurs a second time; ids must be unique")
        if unit.text.strip():
            gathered[unit_id] = unit
        elif empty_text == "refuse":
            raise InputError(f"{where}: {noun} {unit_id[:80]!r} has no text; correct the file or set empty_text: drop")
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
    unjudged_pool: UnjudgedPool = "refuse",
) -> Collection:
    """Join the three; drop and count topics without a relevant document and judgements of other topics.

    ``absent_documents`` are ids that were dropped for their empty text; judgements of them are dropped and counted.
    ``unjudged_pool: drop`` does the same with judgements of any other document outside the pool. Raises ``InputError``
    for such judgements otherwise, for two different judgements of one document for one topic, and if no topic is left.
    """
    known = {document.doc_id for document in documents}
    grades: dict[str, dict[str, int]] = {topic.topic_id: {} for topic in topics}
    outside: list[Judgement] = []
    num_outside = 0
    for judgement in judgements:
        if judgement.doc_id not in known:
            if judgement.doc_id in absent_documents:
                _count(dropped, "judgements of documents without text")
            elif unjudged_pool == "drop":
                _count(dropped, "judgements of documents outside the pool")
            else:
                num_outside += 1
                outside += [judgement] if len(outside) < NUM_SHOWN else []
        elif judgement.topic_id not in grades:
            _count(dropped, "judgements of topics that are not in this split")
        elif grades[judgement.topic_id].setdefault(judgement.doc_id, judgement.grade) != judgement.grade:
            raise InputError(
                f"{judgement.where}: topic {judgement.topic_id[:80]!r}, document {judgement.doc_id[:80]!r}: grade "
                f"{judgement.grade} here, {grades[judgement.topic_id][judgement.doc_id]} before; keep one"
            )
    if outside:
        first = outside[0]
        others = "".join(f", {judgement.doc_id[:80]!r}" for judgement in outside[1:])
        raise InputError(
            f"{first.where}: document {first.doc_id[:80]!r} is judged but is not among the {len(known)} documents "
            f"({num_outside} such judgements{others and '; next ' + others[2:]}); give the documents that the qrels "
            "belong to, or set unjudged_pool: drop"
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
