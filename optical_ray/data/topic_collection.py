"""A collection in topics, documents and qrels files, for the data sets that have this layout."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from optical_ray.data.collection_assembly import (
    EmptyText,
    UnjudgedPool,
    assemble,
    gather,
    require_fraction,
    require_split,
    split_by_id,
)
from optical_ray.data.input_files import InputFile, find_file, find_files
from optical_ray.data.interface import CollectionDataset, fingerprint
from optical_ray.data.languages import Language
from optical_ray.data.trec_files import read_documents, read_qrels, read_topics
from optical_ray.types import Collection, Document, InputError, Topic


@dataclass(frozen=True, kw_only=True)
class TopicCollection(CollectionDataset):
    """Topics in ``language``, documents in ``document_language``; either may be the low-resource language.

    A document of a JSONL file may state its own ``language``; the pool of documents is then mixed.
    ``topics``, ``documents`` (also a folder or glob of several files) and ``qrels`` are paths or URIs, below ``root``
    if that is given. ``eval_topics`` and ``eval_qrels`` are those of the eval split; without ``eval_qrels`` the qrels
    serve both. Without ``eval_topics`` the topics are divided: ``eval_fraction`` of them, by a hash of the topic id,
    are eval and the rest test; a study scores both splits, so both need topics.
    A document or topic without text is refused or, with ``empty_text: drop``, dropped and counted. A judgement of a
    document outside the pool is refused or, with ``unjudged_pool: drop``, dropped and counted. ``max_documents`` keeps
    all judged documents and fills up with the first others by a hash of the id; the rest is counted.
    """

    kind: str = ""
    language: Language
    document_language: Language = "en"
    root: str | None = None
    topics: str = "topics.tsv"
    documents: str = "documents.tsv"
    qrels: str = "qrels.txt"
    eval_topics: str | None = None
    eval_qrels: str | None = None
    eval_fraction: float = 0.3
    relevance_level: int = 1
    max_documents: int | None = None
    empty_text: EmptyText = "refuse"
    unjudged_pool: UnjudgedPool = "refuse"
    licence: str = "not stated"

    def __post_init__(self) -> None:
        require_fraction(self.eval_fraction)
        if self.eval_qrels is not None and self.eval_topics is None:
            raise InputError("eval_qrels: given without eval_topics; give both or neither")
        if self.relevance_level < 1:
            raise InputError(f"relevance_level: must be >= 1, got {self.relevance_level}")
        if self.max_documents is not None and self.max_documents < 1:
            raise InputError(f"max_documents: must be >= 1, got {self.max_documents}")

    def load(self, split: str) -> Collection:
        """Read the split ``eval`` or ``test``."""
        require_split(self.kind, split)
        dropped: dict[str, int] = {}
        topics = self._topics(split, dropped)
        documents, empty = self._documents(dropped)
        qrels = self.eval_qrels if split == "eval" and self.eval_qrels is not None else self.qrels
        return assemble(
            f"{self.kind}/{self.language}",
            split,
            topics,
            documents,
            read_qrels(find_file(self._path(qrels))),
            relevance_level=self.relevance_level,
            licence=self.licence,
            dropped=dropped,
            absent_documents=empty,
            unjudged_pool=self.unjudged_pool,
        )

    def _topics(self, split: str, dropped: dict[str, int]) -> list[Topic]:
        topics = self._read_topics(self.topics, dropped if split == "test" or self.eval_topics is None else {})
        if self.eval_topics is None:
            return split_by_id(topics, split, self.eval_fraction)
        eval_topics = self._read_topics(self.eval_topics, dropped if split == "eval" else {})
        if shared := {topic.topic_id for topic in topics} & {topic.topic_id for topic in eval_topics}:
            raise InputError(
                f"{self.eval_topics}: topic {min(shared)!r} is in {self.topics} too; splits share no topics"
            )
        return eval_topics if split == "eval" else topics

    def _read_topics(self, path: str, dropped: dict[str, int]) -> list[Topic]:
        read = read_topics(find_file(self._path(path)), self.language)
        return gather(read, "topic", self.empty_text, dropped)[0]

    def _documents(self, dropped: dict[str, int]) -> tuple[list[Document], frozenset[str]]:
        files = find_files(self._path(self.documents))
        read: Iterable[tuple[str, Document]] = (
            document for file in files for document in read_documents(file, self.document_language)
        )
        if self.max_documents is not None:
            judged = {j.doc_id for qrels in self._qrels_files() for j in read_qrels(qrels)}
            read = limit_documents(read, judged, self.max_documents, dropped)
        return gather(read, "document", self.empty_text, dropped)

    def _path(self, name: str) -> str:
        if self.root is None or "://" in name or PurePosixPath(name).is_absolute():
            return name
        return f"{self.root.rstrip('/')}/{name}"

    def _qrels_files(self) -> list[InputFile]:
        return [find_file(self._path(name)) for name in (self.qrels, self.eval_qrels) if name is not None]

    def fingerprint(self) -> str:
        """Return a digest of the files' bytes and of the settings that decide how they are read."""
        topics = [find_file(self._path(name)) for name in (self.topics, self.eval_topics) if name is not None]
        files = topics + self._qrels_files() + find_files(self._path(self.documents))
        settings = {
            "kind": self.kind,
            "language": self.language,
            "document_language": self.document_language,
            "has_eval": [self.eval_topics is not None, self.eval_qrels is not None],
            "eval_fraction": self.eval_fraction,
            "relevance_level": self.relevance_level,
            "max_documents": self.max_documents,
            "empty_text": self.empty_text,
            "unjudged_pool": self.unjudged_pool,
        }
        return fingerprint(settings, [file.digest() for file in files])


def limit_documents(
    documents: Iterable[tuple[str, Document]], judged: set[str], limit: int, dropped: dict[str, int]
) -> Iterator[tuple[str, Document]]:
    """Yield the judged documents and, up to ``limit`` in all, others chosen by a hash of the id.

    Memory is of the order of ``limit``, whatever the size of the collection.
    """
    num_judged = num_others = 0
    others: list[tuple[int, str, str, Document]] = []  # a heap whose first element has the greatest hash
    for where, document in documents:
        if document.doc_id in judged:
            num_judged += 1
            yield where, document
            continue
        num_others += 1
        rank = -int.from_bytes(hashlib.sha256(document.doc_id.encode()).digest()[:8])
        if len(others) < limit:
            heapq.heappush(others, (rank, document.doc_id, where, document))
        elif rank > others[0][0]:
            heapq.heapreplace(others, (rank, document.doc_id, where, document))
    chosen = heapq.nlargest(max(0, limit - num_judged), others, key=lambda other: other[0])
    if len(chosen) < num_others:
        dropped["documents beyond max_documents"] = num_others - len(chosen)
    yield from ((where, document) for _, _, where, document in chosen)
