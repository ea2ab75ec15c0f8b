"""Ranks a collection by exact MaxSim: all documents in bounded memory, or the candidates of a first stage.

Legend: ``Q`` topics, ``K`` documents, ``L`` tokens, ``D`` embedding dim.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from optical_ray.data.ragged import Ragged, RaggedWriter
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import CELLS_PER_BLOCK, maxsim, rank
from optical_ray.study.files import read_json
from optical_ray.types import Qrels, Run

RUN_DEPTH = 1000
"""Number of documents kept per topic, as in TREC runs."""

SCORE_STEPS = 1_000_000
"""Scores are rounded to six decimals, so that a run file holds exactly the scores that were evaluated."""

TOKENS_PER_BATCH = 16_384
"""Number of padded positions in a batch of the encoder."""

IN_MEMORY = 2**30
"""Largest size in bytes of a collection's padded float32 vectors in memory; larger ones are stored as float16."""

PART = 2**27
"""Size in bytes of the padded float32 vectors that are read from disk at a time."""

GPU_CELLS_PER_BLOCK = 2**28
"""Number of token similarities computed at a time on a GPU: 1 GB in float32."""


@dataclass(frozen=True)
class EncodedCollection:
    """One split of a target's collection as piece ids.

    Collections with equal ``documents_digest`` have equal documents, which are encoded once. ``teacher_documents`` are
    the documents in the teacher's pieces. ``languages`` has the language of every document, or a single entry if all
    are equal; ``groups`` maps topics to a class. ``candidates`` holds for every topic the positions of the documents to
    rank, or is ``None`` without a first stage.
    """

    target: str
    split: str
    topic_ids: Sequence[str]
    doc_ids: Sequence[str]
    topics: Ragged
    documents: Ragged
    teacher_documents: Ragged
    qrels: Qrels
    documents_digest: str
    languages: Sequence[str]
    groups: dict[str, str]
    candidates: Ragged | None

    @classmethod
    def open(cls, folder: Path) -> EncodedCollection:
        """Open an encoded collection in the cache; its tables are memory-mapped."""
        meta = read_json(folder / "collection.json")
        return cls(
            target=meta["target"],
            split=meta["split"],
            topic_ids=meta["topic_ids"],
            doc_ids=meta["doc_ids"],
            topics=Ragged.open(folder, "topics"),
            documents=Ragged.open(folder, "documents"),
            teacher_documents=Ragged.open(folder, "teacher_documents"),
            qrels=Qrels(meta["grades"], meta["relevance_level"]),
            documents_digest=meta["documents_digest"],
            languages=meta["languages"],
            groups=meta["groups"],
            candidates=Ragged.open(folder, "candidates") if (folder / "candidates.json").is_file() else None,
        )


@torch.inference_mode()
def encode(encoder: TokenEncoder, rows: Ragged) -> TokenEmbeddings:
    """Encode every row, in batches of similar length; the result is on the CPU, in the order of the rows.

    Shapes: ``vectors`` (len(rows), longest, D), ``mask`` and ``norms`` (len(rows), longest).
    """
    device = next(encoder.parameters()).device
    order = np.argsort(-rows.lengths, kind="stable")
    longest = int(rows.lengths[order[0]])
    vectors = torch.zeros(len(rows), longest, encoder.dim)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    norms = torch.zeros(len(rows), longest)
    start = 0
    while start < len(order):
        width = int(rows.lengths[order[start]])
        batch = order[start : start + max(1, TOKENS_PER_BATCH // width)]
        ids = torch.full((len(batch), width), encoder.pad)
        for index, row in enumerate(batch):
            ids[index, : rows.lengths[row]] = torch.from_numpy(rows[int(row)].astype(np.int64))
        embeddings = encoder(ids.to(device))
        positions = torch.from_numpy(batch)
        vectors[positions, :width] = embeddings.vectors.cpu()
        mask[positions, :width] = embeddings.mask.cpu()
        if embeddings.norms is not None:
            norms[positions, :width] = embeddings.norms.cpu()
        start += len(batch)
    return TokenEmbeddings(vectors, mask, norms)


@dataclass(frozen=True)
class DocumentVectors:
    """Token embeddings of documents: in memory, or as a memory-mapped float16 table without padding.

    ``are_finite``: whether every vector is free of NaN and infinity.
    """

    store: TokenEmbeddings | Ragged
    are_finite: bool = True

    @classmethod
    def encode(
        cls, encoder: TokenEncoder, rows: Ragged, scratch: Path, *, in_memory: int = IN_MEMORY
    ) -> DocumentVectors:
        """Encode ``rows``; if they take more than ``in_memory`` bytes, they are written to the empty ``scratch``."""
        if len(rows) * int(rows.lengths.max(initial=1)) * encoder.dim * 4 <= in_memory:
            embeddings = encode(encoder, rows)
            return cls(embeddings, bool(embeddings.vectors.isfinite().all()))
        are_finite = True
        with RaggedWriter(scratch, "documents", np.float16, (encoder.dim,)) as writer:
            for start, end in _parts(rows.lengths, encoder.dim):
                embeddings = encode(encoder, rows.slice(start, end))
                are_finite = are_finite and bool(embeddings.vectors.isfinite().all())
                vectors = embeddings.vectors[embeddings.mask].half().numpy()
                writer.append_flat(vectors, embeddings.mask.sum(dim=1).numpy())
        return cls(Ragged.open(scratch, "documents"), are_finite)

    def parts(self) -> TokenEmbeddings | Iterator[TokenEmbeddings]:
        """All documents in order, padded together or in several parts."""
        if isinstance(self.store, TokenEmbeddings):
            return self.store
        return self._mapped(self.store)

    def at(self, positions: NDArray[np.int64]) -> TokenEmbeddings:
        """The documents at ``positions``."""
        if isinstance(self.store, TokenEmbeddings):
            indices = torch.from_numpy(positions)
            return self.store.each(lambda array: array[indices])
        return padded([self.store[int(position)] for position in positions])

    @staticmethod
    def _mapped(table: Ragged) -> Iterator[TokenEmbeddings]:
        for start, end in _parts(table.lengths, table.values.shape[1]):
            yield padded([table[row] for row in range(start, end)])
            table.release()


def _parts(lengths: NDArray[np.int64], dim: int) -> Iterator[tuple[int, int]]:
    """Spans of rows whose padded vectors take at most ``PART`` bytes; a larger row is a span of its own."""
    start = 0
    while start < len(lengths):
        longest = np.maximum.accumulate(lengths[start : start + PART // (4 * dim)])
        sizes = longest * np.arange(1, len(longest) + 1) * dim * 4
        end = start + max(1, int(np.searchsorted(sizes, PART, side="right")))
        yield start, end
        start = end


def padded(rows: Sequence[NDArray[np.generic]]) -> TokenEmbeddings:
    """Pad the token vectors (n_i, D) of several texts to one length, in float32."""
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    vectors = torch.zeros(*mask.shape, rows[0].shape[1])
    vectors[mask] = torch.from_numpy(np.concatenate(rows)).float()
    return TokenEmbeddings(vectors, mask)


@torch.inference_mode()
def rank_collection(collection: EncodedCollection, topics: TokenEmbeddings, documents: DocumentVectors) -> Run:
    """Rank the documents of every topic, or only its candidates, and keep the best ``RUN_DEPTH``.

    ``documents`` has the vectors of ``documents_to_encode(collection)``.
    """
    if collection.candidates is not None:
        return _rerank(collection, collection.candidates, topics, documents)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parts = documents.parts()
    moved = (_to(part, device) for part in ([parts] if isinstance(parts, TokenEmbeddings) else parts))
    ranking = rank(
        _to(topics, device),
        moved,
        top_k=min(RUN_DEPTH, len(collection.doc_ids)),
        cells_per_block=CELLS_PER_BLOCK if device == "cpu" else GPU_CELLS_PER_BLOCK,
    )
    scores = (ranking.scores.double() * SCORE_STEPS).round() / SCORE_STEPS
    return {
        topic_id: {collection.doc_ids[index]: score for index, score in zip(indices, scores, strict=True)}
        for topic_id, indices, scores in zip(
            collection.topic_ids, ranking.indices.tolist(), scores.tolist(), strict=True
        )
    }


def documents_to_encode(collection: EncodedCollection) -> NDArray[np.int64]:
    """Positions of the documents that are a candidate of any topic, sorted; all documents without a first stage."""
    if collection.candidates is None:
        return np.arange(len(collection.doc_ids), dtype=np.int64)
    return np.unique(np.asarray(collection.candidates.values, dtype=np.int64))


def _rerank(
    collection: EncodedCollection, candidates: Ragged, topics: TokenEmbeddings, documents: DocumentVectors
) -> Run:
    encoded = documents_to_encode(collection)
    run: Run = {}
    for row, topic_id in enumerate(collection.topic_ids):
        positions = np.asarray(candidates[row], dtype=np.int64)
        if not len(positions):
            continue
        query = TokenEmbeddings(topics.vectors[row : row + 1], topics.mask[row : row + 1])
        exact = maxsim(query, documents.at(np.searchsorted(encoded, positions)))[0].double()
        scores = ((exact * SCORE_STEPS).round() / SCORE_STEPS).tolist()
        pairs = sorted(zip(positions.tolist(), scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
        run[topic_id] = {collection.doc_ids[position]: score for position, score in pairs[:RUN_DEPTH]}
    return run


def _to(embeddings: TokenEmbeddings, device: str) -> TokenEmbeddings:
    return embeddings.each(lambda array: array.to(device))
