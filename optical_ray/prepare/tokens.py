"""Tokenized bitext and collections, cached by tokenizer and text."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optical_ray.config.key import digest
from optical_ray.data.interface import BitextDataset, CollectionDataset
from optical_ray.data.ragged import Ragged, RaggedWriter
from optical_ray.data.shards import ShardReader, write_bitext_shard
from optical_ray.encoders.tokenizer import PieceTokenizer, Role
from optical_ray.prepare.cache import Cache
from optical_ray.study.files import write_json
from optical_ray.types import Collection

LAYOUT = 2
"""Version of a tokenized collection's files; part of its key."""

TOKENS_LAYOUT = 2
"""Version of a tokenized bitext's files; part of its key."""


@dataclass(frozen=True)
class Pieces:
    """The student's and the teacher's tokenizers (often the same), and the limits of text lengths in tokens."""

    student: PieceTokenizer
    teacher: PieceTokenizer
    query_length: int
    document_length: int
    teacher_document_length: int

    @classmethod
    def from_tokenizer(cls, tokenizer: PieceTokenizer, query_length: int, document_length: int) -> Pieces:
        """Build it for an encoder that is its own teacher."""
        return cls(tokenizer, tokenizer, query_length, document_length, document_length)

    @property
    def are_same(self) -> bool:
        """Whether both tokenize a text alike, so that their tokens can be aligned one to one."""
        return self.student.digest == self.teacher.digest

    @property
    def digest(self) -> str:
        """Digest of both tokenizers."""
        return digest([self.student.digest, self.teacher.digest])


def bitext_shard(dataset: BitextDataset, fingerprint: str, language: str, cache: Cache) -> Path:
    """Return the cache entry of one language's filtered pairs: a shard (see ``data.shards``)."""

    def build(folder: Path) -> dict[str, object]:
        return asdict(write_bitext_shard(dataset, language, folder, fingerprint))

    return cache.entry("shard", digest([fingerprint, language]), build)


def bitext_tokens(shard: Path, pieces: Pieces, cache: Cache, *, role: Role, max_length: int) -> Path:
    """Return the cache entry of a tokenized shard (files: see ``training.bitext_tokens.BitextTokens``)."""
    key = digest([shard.name, pieces.digest, role, max_length, TOKENS_LAYOUT])

    def build(folder: Path) -> dict[str, object]:
        reader, truncated = ShardReader(shard), 0
        hashes: dict[str, list[NDArray[np.uint64]]] = {"pivot": [], "id": []}
        sizes = {"foreign": pieces.student.size, "pivot": pieces.student.size, "teacher": pieces.teacher.size}
        rows = {name: np.zeros(size, dtype=np.int64) for name, size in sizes.items()}
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(RaggedWriter(folder, name, np.int32))
                for name in ("foreign", "pivot", "teacher")
            }
            for batch in reader.batches():
                foreign, pivot = batch["foreign"].to_pylist(), batch["pivot"].to_pylist()
                sides = {
                    "foreign": pieces.student.encode(foreign, role, max_length),
                    "pivot": pieces.student.encode(pivot, role, max_length),
                }
                if not pieces.are_same:
                    sides["teacher"] = pieces.teacher.encode(pivot, role, max_length)
                tables = {name: Ragged.from_rows(encoded.ids) for name, encoded in sides.items()}
                counts = {name: _rows_with(table, sizes[name]) for name, table in tables.items()}
                for name, writer in writers.items():
                    side = name if name in tables else "pivot"
                    writer.append_flat(tables[side].values, tables[side].lengths)
                    rows[name] += counts[side]
                truncated += sides["foreign"].truncated + sides["pivot"].truncated
                hashes["pivot"].append(_hashes(pivot))
                hashes["id"].append(_hashes(batch["id"].to_pylist()))
        for name, parts in hashes.items():
            np.save(folder / f"{name}_hash.npy", np.concatenate(parts))
        for name, total in rows.items():
            np.save(folder / f"{name}_rows.npy", total)
        manifest = reader.manifests[0]
        return {
            "pairs": len(reader),
            "dropped": manifest.dropped,
            "truncated": truncated,
            "licence": manifest.licence,
            "shard": shard.name,
        }

    return cache.entry("bitext", key, build)


def _hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype=np.uint64)


def _rows_with(table: Ragged, size: int) -> NDArray[np.int64]:
    """The number of rows in which each of ``size`` token ids occurs."""
    row = np.repeat(np.arange(len(table), dtype=np.int64), table.lengths)
    pairs = row * size + table.values.astype(np.int64)
    pairs.sort()
    is_first = np.diff(pairs, prepend=-1) > 0  # np.unique would hash them, which takes 25 times as long
    return np.bincount(pairs[is_first] % size, minlength=size)


def unique_pivots(folders: Sequence[Path]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the sorted digests of all distinct pivot sentences in ``folders``, and (n, 2): folder and row of each."""
    tables = [np.load(folder / "pivot_hash.npy") for folder in folders]
    hashes, first = np.unique(np.concatenate(tables), return_index=True)
    starts = np.cumsum([0, *map(len, tables)])
    part = np.searchsorted(starts, first, side="right") - 1
    return hashes, np.stack([part, first - starts[part]], axis=1)


@dataclass(frozen=True)
class CollectionSource:
    """One split of a target's collection, which is read once, when it is needed."""

    target: str
    dataset: CollectionDataset
    fingerprint: str
    split: str

    @cached_property
    def collection(self) -> Collection:
        """The collection."""
        return self.dataset.load(self.split)


class CandidateSource(ABC):
    """Selects the documents of a collection that are ranked."""

    @abstractmethod
    def digest(self, source: CollectionSource) -> str:
        """Return a digest of everything the selection depends on besides the collection."""

    @abstractmethod
    def rows(self, source: CollectionSource) -> list[list[int]]:
        """Return for each topic the positions of its documents."""


def collection_tokens(
    source: CollectionSource, pieces: Pieces, cache: Cache, candidates: CandidateSource | None = None
) -> Path:
    """Return the cache entry of one tokenized split (files: see ``ranking.EncodedCollection``)."""
    lengths = [pieces.query_length, pieces.document_length, pieces.teacher_document_length]
    content = [source.fingerprint, source.target, source.split, pieces.digest, lengths, LAYOUT]
    key = digest(content if candidates is None else [*content, candidates.digest(source)])

    def build(folder: Path) -> dict[str, object]:
        collection = source.collection
        topics = pieces.student.encode_queries([topic.text for topic in collection.topics], pieces.query_length)
        texts = [document.text for document in collection.documents]
        documents = pieces.student.encode(texts, "document", pieces.document_length)
        by_teacher = pieces.teacher.encode(texts, "document", pieces.teacher_document_length)
        for name, ids in (("topics", topics.ids), ("documents", documents.ids), ("teacher_documents", by_teacher.ids)):
            with RaggedWriter(folder, name, np.int32) as writer:
                writer.append(ids)
        if candidates is not None:
            with RaggedWriter(folder, "candidates", np.int32) as writer:
                writer.append(candidates.rows(source))
        write_json(folder / "collection.json", _description(source.target, collection, documents.ids))
        return {
            "topics": len(collection.topics),
            "documents": len(texts),
            "dropped": dict(collection.dropped),
            "truncated": {"topics": topics.truncated, "documents": documents.truncated},
            "licence": collection.licence,
            "relevance_level": collection.qrels.relevance_level,
        }

    return cache.entry("collection", key, build)


def _description(target: str, collection: Collection, documents: list[list[int]]) -> dict[str, Any]:
    return {
        "target": target,
        "split": collection.split,
        "topic_ids": [topic.topic_id for topic in collection.topics],
        "topics": [topic.text for topic in collection.topics],
        "doc_ids": [document.doc_id for document in collection.documents],
        "grades": {topic: dict(grades) for topic, grades in collection.qrels.grades.items()},
        "relevance_level": collection.qrels.relevance_level,
        "documents_digest": digest([[document.doc_id for document in collection.documents], documents]),
        "languages": _languages(collection),
        "groups": dict(collection.groups),
    }


def _languages(collection: Collection) -> list[str]:
    """The language of every document, or a single one if all documents have the same."""
    languages = [document.language for document in collection.documents]
    return languages if len(set(languages)) > 1 else languages[:1]


def teacher_rows(folders: Sequence[Path], locations: NDArray[np.int64]) -> Iterator[NDArray[np.generic]]:
    """Yield the teacher's token ids of the sentences at ``locations`` (n, 2): folder, row."""
    tables = [Ragged.open(folder, "teacher") for folder in folders]
    return (tables[part][row] for part, row in locations)


def teacher_pieces(folders: Sequence[Path], locations: NDArray[np.int64]) -> int:
    """Return the number of the teacher's tokens in the sentences at ``locations`` (n, 2): folder, row."""
    return sum(
        int(Ragged.open(folder, "teacher").lengths[locations[locations[:, 0] == part, 1]].sum())
        for part, folder in enumerate(folders)
    )
