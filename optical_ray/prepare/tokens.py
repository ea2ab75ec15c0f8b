"""Bitext and collections in pieces, once per (tokenizer, text)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optical_ray.config.key import digest
from optical_ray.data.interface import BitextDataset, CollectionDataset, Counts
from optical_ray.data.ragged import Ragged, RaggedWriter
from optical_ray.encoders.tokenizer import PieceTokenizer, Role
from optical_ray.prepare.cache import Cache
from optical_ray.storage import write_json
from optical_ray.types import Collection, InputError


@dataclass(frozen=True)
class Pieces:
    """The two tokenizers of a study: the student's and the teacher's, often the same."""

    student: PieceTokenizer
    teacher: PieceTokenizer
    query_length: int
    document_length: int
    """The student's limits."""
    teacher_document_length: int

    @classmethod
    def of_one(cls, tokenizer: PieceTokenizer, query_length: int, document_length: int) -> Pieces:
        """Of an encoder that is its own teacher."""
        return cls(tokenizer, tokenizer, query_length, document_length, document_length)

    @property
    def are_same(self) -> bool:
        """Whether both cut a text alike, so that their tokens stand side by side."""
        return self.student.digest == self.teacher.digest

    @property
    def digest(self) -> str:
        """Of both."""
        return digest([self.student.digest, self.teacher.digest])


def bitext_tokens(
    dataset: BitextDataset, language: str, pieces: Pieces, cache: Cache, *, role: Role, max_length: int
) -> Path:
    """The cache entry of one language's pairs in pieces (see ``training.batches.BitextTokens`` for its files)."""
    key = digest([dataset.fingerprint(), language, pieces.digest, role, max_length])

    def build(folder: Path) -> dict[str, object]:
        counts, truncated, hashes = Counts(), 0, []
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(RaggedWriter(folder, name, np.int32))
                for name in ("foreign", "pivot", "teacher")
            }
            for batch in dataset.batches(language, counts):
                foreign, pivot = batch["foreign"].to_pylist(), batch["pivot"].to_pylist()
                sides = {
                    "foreign": pieces.student.encode(foreign, role, max_length),
                    "pivot": pieces.student.encode(pivot, role, max_length),
                }
                sides["teacher"] = sides["pivot"] if pieces.are_same else pieces.teacher.encode(pivot, role, max_length)
                for name, encoded in sides.items():
                    writers[name].append(encoded.ids)
                truncated += sides["foreign"].truncated + sides["pivot"].truncated
                hashes.append(_hashes(pivot))
        pairs = np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64)
        if not len(pairs):
            raise InputError(f"bitext: no pair in {language!r} is left (dropped: {counts.dropped or 'none was there'})")
        np.save(folder / "pivot_hash.npy", pairs)
        return {"pairs": len(pairs), "dropped": counts.dropped, "truncated": truncated, "licence": dataset.licence}

    return cache.entry("bitext", key, build)


def _hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype=np.uint64)


def unique_pivots(folders: Sequence[Path]) -> tuple[NDArray[np.uint64], list[tuple[int, int]]]:
    """Digests of all pivot sentences in ``folders``, sorted, each once; and where each lies: (folder, row)."""
    tables = [np.load(folder / "pivot_hash.npy") for folder in folders]
    hashes, first = np.unique(np.concatenate(tables), return_index=True)
    starts = np.cumsum([0, *map(len, tables)])
    part = np.searchsorted(starts, first, side="right") - 1
    return hashes, list(zip(part.tolist(), (first - starts[part]).tolist(), strict=True))


def collection_tokens(target: str, dataset: CollectionDataset, split: str, pieces: Pieces, cache: Cache) -> Path:
    """The cache entry of one split of a collection in pieces (see ``evaluate.EncodedCollection`` for its files)."""
    lengths = [pieces.query_length, pieces.document_length, pieces.teacher_document_length]
    key = digest([dataset.fingerprint(), target, split, pieces.digest, lengths])

    def build(folder: Path) -> dict[str, object]:
        collection = dataset.load(split)
        topics = pieces.student.encode([topic.text for topic in collection.topics], "query", pieces.query_length)
        texts = [document.text for document in collection.documents]
        documents = pieces.student.encode(texts, "document", pieces.document_length)
        by_teacher = pieces.teacher.encode(texts, "document", pieces.teacher_document_length)
        for name, ids in (("topics", topics.ids), ("documents", documents.ids), ("teacher_documents", by_teacher.ids)):
            with RaggedWriter(folder, name, np.int32) as writer:
                writer.append(ids)
        write_json(folder / "collection.json", _described(target, split, collection, documents.ids))
        return {
            "topics": len(collection.topics),
            "documents": len(texts),
            "dropped": dict(collection.dropped),
            "truncated": {"topics": topics.truncated, "documents": documents.truncated},
            "licence": collection.licence,
        }

    return cache.entry("collection", key, build)


def _described(target: str, split: str, collection: Collection, documents: list[list[int]]) -> dict[str, Any]:
    return {
        "target": target,
        "split": split,
        "topic_ids": [topic.topic_id for topic in collection.topics],
        "topics": [topic.text for topic in collection.topics],
        "doc_ids": [document.doc_id for document in collection.documents],
        "grades": {topic: dict(grades) for topic, grades in collection.qrels.grades.items()},
        "relevance_level": collection.qrels.relevance_level,
        "documents_digest": digest([[document.doc_id for document in collection.documents], documents]),
    }


def teacher_rows(folders: Sequence[Path], places: Sequence[tuple[int, int]]) -> Iterator[NDArray[np.generic]]:
    """The teacher's pieces of the sentences at ``places`` (folder, row)."""
    tables = [Ragged.open(folder, "teacher") for folder in folders]
    return (tables[part][row] for part, row in places)
