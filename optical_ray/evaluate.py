"""Evaluates encoders on collections: TREC runs, per-query scores and their means."""

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
    documents_to_encode,
    encode,
    rank_collection,
)
from optical_ray.study.files import read_json, replace_file, write_json
from optical_ray.study.layout import PER_QUERY_COLUMNS, ResultFolder
from optical_ray.study.records import Scores, read_scores
from optical_ray.types import PerQueryScores, Run

MACRO = "macro_AP"
"""The mean over classes of their mean AP, if the topics of a collection have classes.

The value of a topic is its AP, weighted so that the mean over topics equals this mean over classes. Significance tests
over topics therefore apply to it as to any other metric.
"""

MIX_DEPTH = 20
"""Number of documents of a topic whose languages are counted."""

LANGUAGE_MIX = "language_mix.json"
"""Languages of what is retrieved from mixed pools: ``target -> language -> share``."""


@dataclass(frozen=True)
class Scored:
    """One target's run and its per-query scores.

    ``languages``: shares of the languages in what is retrieved, or ``None`` if all documents have one language.
    """

    run: Run
    per_query: PerQueryScores
    languages: dict[str, float] | None = None


Evaluation = dict[str, dict[str, Scored]]
"""``split -> target -> Scored``."""


def score(collection: EncodedCollection, run: Run, metrics: Sequence[Metric]) -> Scored:
    """Score ``run``, which need not be an encoder's, with the relevance judgements of ``collection``."""
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
    best = (sorted(scores, key=lambda doc_id: -scores[doc_id])[:MIX_DEPTH] for scores in run.values())
    counts = Counter(language_of[doc_id] for doc_ids in best for doc_id in doc_ids)
    return {language: count / counts.total() for language, count in sorted(counts.items())}


@dataclass
class Evaluator:
    """Scores encoders on the collections in ``folders``; documents that targets share are encoded once per call.

    ``documents`` names the encoder of the documents: the evaluated ``student``, or the ``teacher`` in the folder
    ``teacher``. ``in_memory``: see ``ranking.DocumentVectors``.
    """

    folders: Sequence[Path]
    metrics: Sequence[str]
    documents: str = "student"
    teacher: Path | None = None
    in_memory: int = IN_MEMORY

    def __post_init__(self) -> None:
        self._collections = [EncodedCollection.open(folder) for folder in self.folders]
        self._metrics: list[Metric] = [parse(name) for name in self.metrics]
        self._by_teacher: _Vectors | None = None

    def evaluate(
        self, encoder: TokenEncoder, splits: Sequence[str], worker: int = 0, num_workers: int = 1
    ) -> Evaluation:
        """Runs and scores of every target on ``splits``; the targets are distributed over the workers.

        Raises ``FloatingPointError`` on every worker if vectors on any worker are NaN or infinite.
        """
        was_training = encoder.training
        encoder.eval()
        collections = [collection for collection in self._collections if collection.split in splits]
        vectors = self._vectors(encoder)
        own = [(c.split, c.target, self._score(encoder, c, vectors)) for c in collections[worker::num_workers]]
        encoder.train(was_training)
        parts = [own]
        if num_workers > 1:
            parts = [[] for _ in range(num_workers)]
            dist.all_gather_object(parts, own)
        results = {(split, target): scored for part in parts for split, target, scored in part if scored is not None}
        if failed := [f"{c.target} ({c.split})" for c in collections if (c.split, c.target) not in results]:
            raise FloatingPointError(f"the encoder returned NaN or infinite vectors for {', '.join(failed[:10])}")
        evaluation: Evaluation = {split: {} for split in splits}
        for collection in collections:
            evaluation[collection.split][collection.target] = results[collection.split, collection.target]
        return evaluation

    def means(
        self, encoder: TokenEncoder, split: str, worker: int = 0, num_workers: int = 1
    ) -> dict[str, dict[str, float]]:
        """Mean scores on one split: ``metric -> target -> mean``."""
        return means(self.evaluate(encoder, (split,), worker, num_workers))[split]

    def _vectors(self, encoder: TokenEncoder) -> _Vectors:
        """Document vectors of the evaluated student, or the teacher's, which are computed only once."""
        if self.documents != "teacher":
            return _Vectors(encoder, self.in_memory, is_teacher=False)
        if self._by_teacher is None:
            assert self.teacher is not None, "documents: teacher needs the teacher's folder"
            teacher = Checkpoint.open(self.teacher).load().to(next(encoder.parameters()).device)
            self._by_teacher = _Vectors(teacher, self.in_memory, is_teacher=True)
        return self._by_teacher

    def _score(self, encoder: TokenEncoder, collection: EncodedCollection, vectors: _Vectors) -> Scored | None:
        """Rank and score ``collection``; ``None`` if vectors of topics or documents are NaN or infinite."""
        topics = encode(encoder, collection.topics)
        if not torch.isfinite(topics.vectors).all():
            return None
        documents = vectors.documents_of(collection)
        if not documents.are_finite:
            return None
        return score(collection, rank_collection(collection, topics, documents), self._metrics)


class _Vectors:
    """Document vectors of one encoder, computed once for all targets with equal documents.

    Their files are deleted together with the object.
    """

    def __init__(self, encoder: TokenEncoder, in_memory: int, *, is_teacher: bool):
        self._encoder, self._in_memory, self._is_teacher = encoder, in_memory, is_teacher
        self._scratch = TemporaryDirectory(prefix="optical-ray-")
        self._known: dict[str, DocumentVectors] = {}

    def documents_of(self, collection: EncodedCollection) -> DocumentVectors:
        """The vectors of ``documents_to_encode(collection)``."""
        key = collection.documents_digest
        if collection.candidates is not None:
            key += f" {collection.split} {collection.target}"
        if key not in self._known:
            rows = collection.teacher_documents if self._is_teacher else collection.documents
            if collection.candidates is not None:
                rows = rows.select(documents_to_encode(collection))
            folder = Path(self._scratch.name) / str(len(self._known))
            folder.mkdir()
            self._known[key] = DocumentVectors.encode(self._encoder, rows, folder, in_memory=self._in_memory)
        return self._known[key]


def means(evaluation: Evaluation) -> Scores:
    """Means over topics: ``split -> metric -> target -> mean``."""
    result: Scores = {}
    for split, by_target in evaluation.items():
        for target, scored in by_target.items():
            for metric, value in mean(scored.per_query).items():
                result.setdefault(split, {}).setdefault(metric, {})[target] = value
    return result


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write scores, per-query scores and the test split's runs to a trial's or a baseline's ``folder``.

    Results of other targets and metrics that are already there are kept; ``scores.json`` is written last. For mixed
    pools ``language_mix.json`` gets the languages of what is retrieved on the test split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = {tuple(row[column] for column in PER_QUERY_COLUMNS[:-1]): row for row in read_per_query(folder)}
    for split, by_target in evaluation.items():
        for target, scored in by_target.items():
            if split == "test":
                write_run(ResultFolder(folder).run(target), scored.run, tag="optical_ray")
            for metric, values in scored.per_query.items():
                for topic_id, value in values.items():
                    key = (split, target, metric, topic_id)
                    rows[key] = _row(key, value)
    _write_per_query(folder, list(rows.values()))
    mixes = {t: scored.languages for t, scored in evaluation.get("test", {}).items() if scored.languages}
    if mixes:
        path = folder / LANGUAGE_MIX
        write_json(path, {**(read_json(path) if path.is_file() else {}), **mixes})
    write_json(ResultFolder(folder).scores, _merged(read_scores(folder), means(evaluation)))


def write_mean(folder: Path, parts: Sequence[Path]) -> None:
    """Write the means over replicates to ``folder``: per topic, and of the mean scores.

    ``parts`` are the replicates' folders. A topic, target or metric that is missing in any of them is left out.
    """
    values: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for part in parts:
        for row in read_per_query(part):
            *key, value = (row[column] for column in PER_QUERY_COLUMNS)
            values[tuple(key)].append(value)
    rows = [_row(key, fmean(replicates)) for key, replicates in values.items() if len(replicates) == len(parts)]
    _write_per_query(folder, rows)
    write_json(ResultFolder(folder).scores, _mean([read_scores(part) for part in parts]))


def _mean(scores: Sequence[Any]) -> Any:
    """Means of nested mappings with the keys that all of them have."""
    first = scores[0]
    if not isinstance(first, dict):
        return fmean(scores)
    shared = [key for key in first if all(key in other for other in scores)]
    return {key: _mean([other[key] for other in scores]) for key in shared}


def _row(key: tuple[str, ...], value: float) -> dict[str, Any]:
    return dict(zip(PER_QUERY_COLUMNS, (*key, value), strict=True))


def _write_per_query(folder: Path, rows: list[dict[str, Any]]) -> None:
    *keys, value = PER_QUERY_COLUMNS
    schema = pa.schema([*((column, pa.string()) for column in keys), (value, pa.float64())])
    with replace_file(ResultFolder(folder).per_query) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")


def read_per_query(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``per_query.parquet``; empty if the file does not exist."""
    path = ResultFolder(folder).per_query
    return pq.read_table(path).to_pylist() if path.is_file() else []


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one; values of ``new`` replace those of ``old``."""
    merged = dict(old)
    for key, value in new.items():
        merged[key] = _merged(old.get(key, {}), value) if isinstance(value, Mapping) else value
    return merged
