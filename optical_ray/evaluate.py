"""Encoder x collection x metrics -> run and per-query scores."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.distributed as dist

from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.metrics.interface import Metric
from optical_ray.metrics.scores import evaluate, mean, parse
from optical_ray.metrics.trec_run import write_run
from optical_ray.ranking import (
    IN_MEMORY,
    DocumentVectors,
    EncodedCollection,
    chosen_documents,
    encode,
    rank_collection,
)
from optical_ray.study.files import read_json, write_json
from optical_ray.study.records import Scores, read_scores
from optical_ray.types import PerQueryScores, Run

MACRO = "macro_AP"
"""Mean over the topics' classes of their mean AP, where a collection has classes. Its value of a topic is the topic's
AP, weighted so that the mean over topics is that mean over classes: what compares topics compares it too."""

MIX_DEPTH = 20
"""Documents of a topic whose languages are counted."""


@dataclass(frozen=True)
class Scored:
    """One target's run and its per-query scores; ``languages``: shares of what is retrieved, of a mixed pool alone."""

    run: Run
    per_query: PerQueryScores
    languages: dict[str, float] | None = None


Evaluation = dict[str, dict[str, Scored]]
"""``split -> target -> Scored``."""


def score(collection: EncodedCollection, run: Run, metrics: Sequence[Metric]) -> Scored:
    """Score a run of ``collection``, whoever made it."""
    per_query = evaluate(metrics, collection.qrels, run)
    if collection.groups and "AP" in per_query:
        per_query[MACRO] = _weighted(per_query["AP"], collection.groups)
    return Scored(run, per_query, _languages(collection, run) if len(collection.languages) > 1 else None)


def _weighted(values: Mapping[str, float], groups: Mapping[str, str]) -> dict[str, float]:
    sizes = Counter(groups[topic_id] for topic_id in values)
    share = len(values) / len(sizes)
    return {topic_id: value * share / sizes[groups[topic_id]] for topic_id, value in values.items()}


def _languages(collection: EncodedCollection, run: Run) -> dict[str, float]:
    """Shares of languages among the first ``MIX_DEPTH`` documents of all topics."""
    language_of = dict(zip(collection.doc_ids, collection.languages, strict=True))
    first = (sorted(found, key=lambda doc: -found[doc])[:MIX_DEPTH] for found in run.values())
    counts = Counter(language_of[doc_id] for some in first for doc_id in some)
    return {language: count / counts.total() for language, count in sorted(counts.items())}


@dataclass
class Evaluator:
    """Scores encoders on collections; documents that several targets share are encoded once a call."""

    folders: Sequence[Path]
    metrics: Sequence[str]
    documents: str = "student"
    teacher: Path | None = None
    in_memory: int = IN_MEMORY
    """Bytes of document vectors that may lie in memory; see ``ranking.DocumentVectors``."""

    def __post_init__(self) -> None:
        self._collections = [EncodedCollection.open(folder) for folder in self.folders]
        self._metrics: list[Metric] = [parse(name) for name in self.metrics]
        self._by_teacher: _Vectors | None = None

    def evaluate(
        self, encoder: TokenEncoder, splits: Sequence[str], worker: int = 0, num_workers: int = 1
    ) -> Evaluation:
        """Runs and scores of every target on ``splits``; the targets are shared out over the workers.

        Raises ``FloatingPointError`` on every worker where the encoder's scores are no numbers.
        """
        was_training = encoder.training
        encoder.eval()
        chosen = [collection for collection in self._collections if collection.split in splits]
        vectors = self._vectors(encoder)
        mine = [(c.split, c.target, self._score(encoder, c, vectors)) for c in chosen[worker::num_workers]]
        encoder.train(was_training)
        parts = [mine]
        if num_workers > 1:
            parts = [[] for _ in range(num_workers)]
            dist.all_gather_object(parts, mine)
        found = {(split, target): scored for part in parts for split, target, scored in part if scored is not None}
        if lost := [f"{c.target} ({c.split})" for c in chosen if (c.split, c.target) not in found]:
            raise FloatingPointError(f"the encoder gives vectors that are no numbers: {', '.join(lost)}")
        evaluation: Evaluation = {split: {} for split in splits}
        for collection in chosen:
            evaluation[collection.split][collection.target] = found[collection.split, collection.target]
        return evaluation

    def means(
        self, encoder: TokenEncoder, split: str, worker: int = 0, num_workers: int = 1
    ) -> dict[str, dict[str, float]]:
        """``metric -> target -> mean`` on one split."""
        return means(self.evaluate(encoder, (split,), worker, num_workers))[split]

    def _vectors(self, encoder: TokenEncoder) -> _Vectors:
        """The student reads the documents anew each time, the teacher once."""
        if self.documents != "teacher":
            return _Vectors(encoder, self.in_memory, is_teacher=False)
        if self._by_teacher is None:
            assert self.teacher is not None, "documents read by the teacher need the teacher"
            teacher = Checkpoint.open(self.teacher).load().to(next(encoder.parameters()).device)
            self._by_teacher = _Vectors(teacher, self.in_memory, is_teacher=True)
        return self._by_teacher

    def _score(self, encoder: TokenEncoder, collection: EncodedCollection, vectors: _Vectors) -> Scored | None:
        """``None`` where the encoder's vectors are no numbers."""
        topics = encode(encoder, collection.topics)
        if not torch.isfinite(topics.vectors).all():
            return None
        return score(collection, rank_collection(collection, topics, vectors.of(collection)), self._metrics)


class _Vectors:
    """What one encoder makes of documents, once for all targets that have the same ones; files go with the object."""

    def __init__(self, encoder: TokenEncoder, in_memory: int, *, is_teacher: bool):
        self._encoder, self._in_memory, self._is_teacher = encoder, in_memory, is_teacher
        self._scratch = TemporaryDirectory(prefix="optical-ray-")
        self._known: dict[str, DocumentVectors] = {}

    def of(self, collection: EncodedCollection) -> DocumentVectors:
        key = collection.documents_digest
        if collection.candidates is not None:
            key += f" {collection.split} {collection.target}"
        if key not in self._known:
            rows = collection.teacher_documents if self._is_teacher else collection.documents
            if collection.candidates is not None:
                rows = rows.select(chosen_documents(collection))
            folder = Path(self._scratch.name) / str(len(self._known))
            folder.mkdir()
            self._known[key] = DocumentVectors.of(self._encoder, rows, folder, in_memory=self._in_memory)
        return self._known[key]


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

    What is there for other targets and metrics stays; ``scores.json`` comes last. Of mixed pools the languages of what
    is retrieved on the test split go to ``language_mix.json``.
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
    _write_per_query(folder, list(rows.values()))
    mixes = {t: scored.languages for t, scored in evaluation.get("test", {}).items() if scored.languages}
    if mixes:
        path = folder / "language_mix.json"
        write_json(path, {**(read_json(path) if path.is_file() else {}), **mixes})
    write_json(folder / "scores.json", _merged(read_scores(folder), means(evaluation)))


def write_mean(folder: Path, parts: Sequence[Path]) -> None:
    """Write the means over ``parts``, replicates, topic by topic, and their mean scores: of what all of them have."""
    values: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for part in parts:
        for row in read_per_query(part):
            values[row["split"], row["target"], row["metric"], row["topic_id"]].append(row["value"])
    shared = {key: some for key, some in values.items() if len(some) == len(parts)}
    rows = [dict(zip(PER_QUERY.names, (*key, fmean(some)), strict=True)) for key, some in shared.items()]
    _write_per_query(folder, rows)
    write_json(folder / "scores.json", _mean([read_scores(part) for part in parts]))


def _mean(scores: Sequence[Any]) -> Any:
    first = scores[0]
    if not isinstance(first, dict):
        return fmean(scores)
    return {key: _mean([one[key] for one in scores]) for key in first if all(key in one for one in scores)}


def _write_per_query(folder: Path, rows: list[dict[str, Any]]) -> None:
    beside = folder / ".per_query.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=PER_QUERY), beside, compression="zstd")
    beside.replace(folder / "per_query.parquet")


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
