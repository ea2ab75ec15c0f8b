"""An encoder ranks a collection by exact MaxSim: all documents in bounded memory, or a first stage's candidates.

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
"""Documents kept per topic, as TREC runs do."""

SCORE_STEPS = 1_000_000
"""Scores are kept to six decimals, so that the run file says exactly what was scored."""

TOKENS_PER_BATCH = 16_384
"""Padded positions that the encoder reads at once."""

IN_MEMORY = 2**30
"""Bytes of padded float32 vectors that a collection's documents may take; larger ones go to disk as float16."""

PART = 2**27
"""Bytes of padded float32 vectors of a part of a collection that lies on disk."""

GPU_CELLS_PER_BLOCK = 2**28
"""Token-by-token similarities held at a time on a GPU: 1 GB of float32."""


@dataclass(frozen=True)
class EncodedCollection:
    """One split of a target's collection in pieces.

    ``documents_digest`` is equal where documents are equal (they are then encoded once); ``teacher_documents`` are the
    documents in the teacher's pieces. ``languages`` are those of the documents, one word where all are alike;
    ``groups`` gives topics a class. ``candidates`` are positions of documents, a row for each topic, where a first
    stage chose what is ranked.
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
        """Map an encoded collection from the cache."""
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
    """Encode every row, long ones together; the result is in the order of the rows and lies on the CPU.

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
        some = order[start : start + max(1, TOKENS_PER_BATCH // width)]
        ids = torch.full((len(some), width), encoder.pad)
        for index, row in enumerate(some):
            ids[index, : rows.lengths[row]] = torch.from_numpy(rows[int(row)].astype(np.int64))
        cloud = encoder(ids.to(device))
        places = torch.from_numpy(some)
        vectors[places, :width] = cloud.vectors.cpu()
        mask[places, :width] = cloud.mask.cpu()
        if cloud.norms is not None:
            norms[places, :width] = cloud.norms.cpu()
        start += len(some)
    return TokenEmbeddings(vectors, mask, norms)


@dataclass(frozen=True)
class DocumentVectors:
    """The vectors of some documents: a cloud in memory, or a memory-mapped float16 table of their real tokens."""

    store: TokenEmbeddings | Ragged

    @classmethod
    def of(cls, encoder: TokenEncoder, rows: Ragged, scratch: Path, *, in_memory: int = IN_MEMORY) -> DocumentVectors:
        """Encode ``rows``; beyond ``in_memory`` bytes part by part into ``scratch`` (an empty folder of its own)."""
        if len(rows) * int(rows.lengths.max(initial=1)) * encoder.dim * 4 <= in_memory:
            return cls(encode(encoder, rows))
        with RaggedWriter(scratch, "documents", np.float16, (encoder.dim,)) as writer:
            for start, end in _parts(rows.lengths, encoder.dim):
                cloud = encode(encoder, rows.slice(start, end))
                writer.append_flat(cloud.vectors[cloud.mask].half().numpy(), cloud.mask.sum(dim=1).numpy())
        return cls(Ragged.open(scratch, "documents"))

    def parts(self) -> TokenEmbeddings | Iterator[TokenEmbeddings]:
        """All documents in their order, in one cloud or several."""
        if isinstance(self.store, TokenEmbeddings):
            return self.store
        return self._mapped(self.store)

    def some(self, places: NDArray[np.int64]) -> TokenEmbeddings:
        """The clouds of a few documents."""
        if isinstance(self.store, TokenEmbeddings):
            chosen = torch.from_numpy(places)
            return self.store.each(lambda array: array[chosen])
        return padded([self.store[int(place)] for place in places])

    @staticmethod
    def _mapped(table: Ragged) -> Iterator[TokenEmbeddings]:
        for start, end in _parts(table.lengths, table.values.shape[1]):
            yield padded([table[row] for row in range(start, end)])
            table.release()


def _parts(lengths: NDArray[np.int64], dim: int) -> Iterator[tuple[int, int]]:
    """Spans of rows whose padded vectors take ``PART`` bytes at most (or are a single row)."""
    start = 0
    while start < len(lengths):
        longest = np.maximum.accumulate(lengths[start : start + PART // (4 * dim)])
        sizes = longest * np.arange(1, len(longest) + 1) * dim * 4
        end = start + max(1, int(np.searchsorted(sizes, PART, side="right")))
        yield start, end
        start = end


def _row(cloud: TokenEmbeddings, row: int) -> TokenEmbeddings:
    return cloud.each(lambda array: array[row : row + 1])


def padded(rows: Sequence[NDArray[np.generic]]) -> TokenEmbeddings:
    """Vectors (n_i, D) of some texts as one padded cloud, in float32."""
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    vectors = torch.zeros(*mask.shape, rows[0].shape[1])
    vectors[mask] = torch.from_numpy(np.concatenate(rows)).float()
    return TokenEmbeddings(vectors, mask)


@torch.inference_mode()
def rank_collection(collection: EncodedCollection, topics: TokenEmbeddings, documents: DocumentVectors) -> Run:
    """The best ``RUN_DEPTH`` documents of every topic; of a first stage's candidates where there are some.

    ``documents`` are then the vectors of ``chosen_documents(collection)`` alone.
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


def chosen_documents(collection: EncodedCollection) -> NDArray[np.int64]:
    """Positions of the documents that some topic's first stage chose, sorted; of all where there is no first stage."""
    if collection.candidates is None:
        return np.arange(len(collection.doc_ids), dtype=np.int64)
    return np.unique(np.asarray(collection.candidates.values, dtype=np.int64))


def _rerank(
    collection: EncodedCollection, candidates: Ragged, topics: TokenEmbeddings, documents: DocumentVectors
) -> Run:
    chosen = chosen_documents(collection)
    run: Run = {}
    for number, topic_id in enumerate(collection.topic_ids):
        mine = np.asarray(candidates[number], dtype=np.int64)
        if not len(mine):
            continue
        query = _row(topics, number)
        found = maxsim(query, documents.some(np.searchsorted(chosen, mine)))[0].double()
        scores = ((found * SCORE_STEPS).round() / SCORE_STEPS).tolist()
        ordered = sorted(zip(mine.tolist(), scores, strict=True), key=lambda pair: (-pair[1], pair[0]))[:RUN_DEPTH]
        run[topic_id] = {collection.doc_ids[place]: score for place, score in ordered}
    return run


def _to(cloud: TokenEmbeddings, device: str) -> TokenEmbeddings:
    return cloud.each(lambda array: array.to(device))
