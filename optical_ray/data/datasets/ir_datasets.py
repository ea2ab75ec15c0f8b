"""Any collection of the ``ir_datasets`` package, which is needed only if a spec names one."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.data.archives import UNREADABLE
from optical_ray.data.collection_assembly import (
    EmptyText,
    Judgement,
    UnjudgedPool,
    assemble,
    gather,
    require_fraction,
    require_split,
    split_by_id,
)
from optical_ray.data.interface import CollectionDataset, fingerprint
from optical_ray.data.languages import Language
from optical_ray.data.topic_collection import limit_documents
from optical_ray.data.trec_files import parse_grade
from optical_ray.types import Collection, Document, InputError, Topic

MALFORMED = (*UNREADABLE, LookupError, TypeError, AttributeError, AssertionError, SyntaxError)
"""What the package's readers raise on a malformed file (broken XML is a SyntaxError)."""


@dataclass(frozen=True, kw_only=True)
class IrDatasetsCollection(CollectionDataset):
    """The collection ``dataset`` of the package, an id such as ``wikiclir/sw`` or ``mmarco/v2/hi/dev/small``.

    Topics are in ``language``, documents in ``document_language``. ``eval_dataset`` is the id of the eval split (with
    the same documents); without it the topics are divided by a hash of the id, ``eval_fraction`` of them to eval.
    ``max_documents`` keeps all judged documents and fills up with the first others by a hash of the id. A judgement of
    a document outside the pool is refused or, with ``unjudged_pool: drop``, dropped and counted.
    """

    kind: Literal["ir_datasets"] = "ir_datasets"
    dataset: str
    language: Language
    document_language: Language = "en"
    eval_dataset: str | None = None
    eval_fraction: float = 0.3
    relevance_level: int = 1
    max_documents: int | None = None
    empty_text: EmptyText = "drop"
    unjudged_pool: UnjudgedPool = "refuse"
    licence: str = "not stated"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Return the id of a collection; the package downloads it."""
        return {"dataset": "wikiclir/sw", "language": "sw"}

    def __post_init__(self) -> None:
        require_fraction(self.eval_fraction)
        if self.relevance_level < 1:
            raise InputError(f"relevance_level: must be >= 1, got {self.relevance_level}")
        if self.max_documents is not None and self.max_documents < 1:
            raise InputError(f"max_documents: must be >= 1, got {self.max_documents}")

    def load(self, split: str) -> Collection:
        """Read the split ``eval`` or ``test``; the package downloads missing files."""
        require_split("ir_datasets", split)
        dropped: dict[str, int] = {}
        name = self.eval_dataset if split == "eval" and self.eval_dataset is not None else self.dataset
        topics, _ = gather(self._topics(name), "query", self.empty_text, dropped)
        if self.eval_dataset is None:
            topics = split_by_id(topics, split, self.eval_fraction)
        elif split == "eval":
            tested = {topic.topic_id for _, topic in self._topics(self.dataset)}
            if shared := sorted(topic.topic_id for topic in topics if topic.topic_id in tested):
                raise InputError(f"{name}: query {shared[0]!r} is in {self.dataset} too; splits share no queries")
        read = self._documents(name)
        if self.max_documents is not None:
            judged = {judgement.doc_id for each in self._names() for judgement in self._judgements(each)}
            read = limit_documents(read, judged, self.max_documents, dropped)
        documents, empty = gather(read, "document", self.empty_text, dropped)
        return assemble(
            f"{name}/{self.language}",
            split,
            topics,
            documents,
            self._judgements(name),
            relevance_level=self.relevance_level,
            licence=self.licence,
            dropped=dropped,
            absent_documents=empty,
            unjudged_pool=self.unjudged_pool,
        )

    def _names(self) -> list[str]:
        return [name for name in (self.dataset, self.eval_dataset) if name is not None]

    def _topics(self, name: str) -> Iterator[tuple[str, Topic]]:
        for where, query in _items(name, "queries"):
            yield where, Topic(query.query_id, _text(query), self.language)

    def _documents(self, name: str) -> Iterator[tuple[str, Document]]:
        for where, document in _items(name, "docs"):
            yield where, Document(document.doc_id, _text(document), self.document_language)

    def _judgements(self, name: str) -> Iterator[Judgement]:
        for where, judged in _items(name, "qrels"):
            yield Judgement(judged.query_id, judged.doc_id, parse_grade(str(judged.relevance), where), where)

    def fingerprint(self) -> str:
        """Return a digest of ids, texts, grades and every setting except the data sets' ids and the licence."""
        digest = hashlib.sha256()
        for name in self._names():
            for _, topic in self._topics(name):
                digest.update(f"q {topic.topic_id}\0{topic.text}\0".encode())
            for judgement in self._judgements(name):
                digest.update(f"r {judgement.topic_id}\0{judgement.doc_id}\0{judgement.grade}\0".encode())
        for _, document in self._documents(self.dataset):
            digest.update(f"d {document.doc_id}\0{document.text}\0".encode())
        excluded = ("dataset", "eval_dataset", "licence")
        settings = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in excluded}
        return fingerprint({**settings, "num_datasets": len(self._names())}, [digest.hexdigest()])


def _items(name: str, what: str) -> Iterator[tuple[str, Any]]:
    """Yield ``(position, item)`` of the queries, docs or qrels of ``name``."""
    try:
        package = importlib.import_module("ir_datasets")
    except ImportError as error:
        raise InputError(f"dataset {name!r} needs the ir_datasets package: pip install ir_datasets") from error
    try:
        dataset = package.load(name)
    except KeyError as error:
        raise InputError(f"ir_datasets has no {name!r}; its ids are listed at https://ir-datasets.com") from error
    except MALFORMED as error:
        raise _unreadable(name, "the data set", error) from error
    if not getattr(dataset, f"has_{what}")():
        raise InputError(f"ir_datasets {name}: has no {what}; name a subset that has them")
    number = 0
    try:
        for number, item in enumerate(getattr(dataset, f"{what}_iter")(), start=1):
            yield f"ir_datasets {name} {what}:{number}", item
    except MALFORMED as error:
        raise _unreadable(name, f"{what} after the first {number}" if number else what, error) from error


def _unreadable(name: str, what: str, error: Exception) -> InputError:
    reason = str(error)[:300] or type(error).__name__
    return InputError(
        f"ir_datasets {name}: {what} cannot be read ({reason}); the package downloads missing files: see its page for "
        "licences and files to fetch by hand; fetch a file that was cut off or changed again"
    )


def _text(item: Any) -> str:
    text = item.default_text() if hasattr(item, "default_text") else item.text
    return str(text).strip()
