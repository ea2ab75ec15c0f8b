"""Encoder x collection x metrics -> run and per-query scores, by exact MaxSim over all documents.

Legend: ``Q`` topics, ``K`` documents, ``L`` tokens, ``D`` embedding dim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.distributed as dist

from optical_ray.data.ragged import Ragged
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.ledger import Scores, read_scores
from optical_ray.metrics.interface import Metric
from optical_ray.metrics.scores import evaluate, mean, parse
from optical_ray.metrics.trec_run import write_run
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.retrieval.late_interaction import rank
from optical_ray.storage import read_json, write_json
from optical_ray.types import PerQueryScores, Qrels, Run

RUN_DEPTH = 1000
"""Documents kept per topic, as TREC runs do."""

SCORE_STEPS = 1_000_000
"""Scores are kept to six decimals, so that the run file says exactly what was scored."""

TOKENS_PER_BATCH = 16_384
"""Padded positions that the encoder reads at once."""


@dataclass(frozen=True)
class EncodedCollection:
    """One split of a target's collection in pieces.

    ``documents_digest`` is equal where documents are equal (they are then encoded once);
    ``teacher_documents`` are the documents in the teacher's pieces.
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
        )


@dataclass(frozen=True)
class Scored:
    """One target's run and its per-query scores."""

    run: Run
    per_query: PerQueryScores


Evaluation = dict[str, dict[str, Scored]]
"""``split -> target -> Scored``."""


@torch.inference_mode()
def encode(encoder: TokenEncoder, rows: Ragged) -> TokenEmbeddings:
    """Encode every row, long ones together; the result is in the order of the rows and lies on the CPU.

    Shapes: ``vectors`` (len(rows), longest, D).
    """
    device = next(encoder.parameters()).device
    order = np.argsort(-rows.lengths, kind="stable")
    longest = int(rows.lengths[order[0]])
    vectors = torch.zeros(len(rows), longest, encoder.dim)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
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
        start += len(some)
    return TokenEmbeddings(vectors, mask)


@dataclass
class Evaluator:
    """Scores encoders on collections; documents that several targets share are encoded once a call."""

    folders: Sequence[Path]
    metrics: Sequence[str]
    documents: str = "student"
    teacher: Path | None = None
    _teacher_clouds: dict[str, TokenEmbeddings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._collections = [EncodedCollection.open(folder) for folder in self.folders]
        self._metrics: list[Metric] = [parse(name) for name in self.metrics]

    def evaluate(
        self, encoder: TokenEncoder, splits: Sequence[str], worker: int = 0, num_workers: int = 1
    ) -> Evaluation:
        """Runs and scores of every target on ``splits``; the targets are shared out over the workers."""
        was_training = encoder.training
        encoder.eval()
        clouds: dict[str, TokenEmbeddings] = {}
        chosen = [collection for collection in self._collections if collection.split in splits]
        mine = [(c.split, c.target, self._score(encoder, c, clouds)) for c in chosen[worker::num_workers]]
        encoder.train(was_training)
        parts = [mine]
        if num_workers > 1:
            parts = [[] for _ in range(num_workers)]
            dist.all_gather_object(parts, mine)
        found = {(split, target): scored for part in parts for split, target, scored in part}
        evaluation: Evaluation = {split: {} for split in splits}
        for collection in chosen:
            evaluation[collection.split][collection.target] = found[collection.split, collection.target]
        return evaluation

    def means(
        self, encoder: TokenEncoder, split: str, worker: int = 0, num_workers: int = 1
    ) -> dict[str, dict[str, float]]:
        """``metric -> target -> mean`` on one split."""
        return means(self.evaluate(encoder, (split,), worker, num_workers))[split]

    def _score(
        self, encoder: TokenEncoder, collection: EncodedCollection, clouds: dict[str, TokenEmbeddings]
    ) -> Scored:
        documents = self._document_cloud(encoder, collection, clouds)
        queries = encode(encoder, collection.topics)
        ranking = rank(queries, documents, top_k=min(RUN_DEPTH, len(collection.doc_ids)))
        scores = (ranking.scores.double() * SCORE_STEPS).round() / SCORE_STEPS
        run: Run = {
            topic_id: {collection.doc_ids[index]: score for index, score in zip(indices, scores, strict=True)}
            for topic_id, indices, scores in zip(
                collection.topic_ids, ranking.indices.tolist(), scores.tolist(), strict=True
            )
        }
        return Scored(run, evaluate(self._metrics, collection.qrels, run))

    def _document_cloud(
        self, encoder: TokenEncoder, collection: EncodedCollection, clouds: dict[str, TokenEmbeddings]
    ) -> TokenEmbeddings:
        digest = collection.documents_digest
        if self.documents == "teacher":
            assert self.teacher is not None, "documents read by the teacher need the teacher"
            if digest not in self._teacher_clouds:
                teacher = Checkpoint.open(self.teacher).load()
                self._teacher_clouds[digest] = encode(teacher, collection.teacher_documents)
            return self._teacher_clouds[digest]
        if digest not in clouds:
            clouds[digest] = encode(encoder, collection.documents)
        return clouds[digest]


def means(evaluation: Evaluation) -> Scores:
    """``split -> metric -> target -> mean over topics``."""
    result: Scores = {}
    for split, by_target in evaluation.items():
        for target, scored in by_target.items():
            for metric, value in mean(scored.per_query).items():
                result.setdefault(split, {}).setdefault(metric, {})[target] = value
    return result


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write scores, per-query scores and the test split's runs to a trial's or a baseline's folder.

    What is there for other targets and metrics stays; ``scores.json`` comes last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = {(row["split"], row["target"], row["metric"], row["topic_id"]): row for row in read_per_query(folder)}
    for split, by_target in evaluation.items():
        for target, scored in by_target.items():
            if split == "test":
                write_run(folder / f"run.{target}.trec.gz", scored.run, tag="optical_ray")
            for metric, values in scored.per_query.items():
                for topic_id, value in values.items():
                    key = (split, target, metric, topic_id)
                    rows[key] = dict(zip(PER_QUERY.names, (*key, value), strict=True))
    beside = folder / ".per_query.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows.values()), schema=PER_QUERY), beside, compression="zstd")
    beside.replace(folder / "per_query.parquet")
    write_json(folder / "scores.json", _merged(read_scores(folder), means(evaluation)))


PER_QUERY = pa.schema(
    [
        ("split", pa.string()),
        ("target", pa.string()),
        ("metric", pa.string()),
        ("topic_id", pa.string()),
        ("value", pa.float64()),
    ]
)
"""Columns of ``per_query.parquet``."""


def read_per_query(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``per_query.parquet``; none where it is not there."""
    path = folder / "per_query.parquet"
    return pq.read_table(path).to_pylist() if path.is_file() else []


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """``new`` over ``old``, level by level."""
    merged = dict(old)
    for key, value in new.items():
        merged[key] = _merged(old.get(key, {}), value) if isinstance(value, Mapping) else value
    return merged
