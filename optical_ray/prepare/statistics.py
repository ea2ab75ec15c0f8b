"""Statistics of a study's data, to judge budgets and scores."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optical_ray.config.experiment import Experiment
from optical_ray.config.key import digest
from optical_ray.data.interface import Counts, RelevanceDataset
from optical_ray.data.ragged import Ragged
from optical_ray.data.scripts import WORD_RULE, normalise, num_words
from optical_ray.data.shards import ShardReader
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.text import Preparation
from optical_ray.prepare.tokens import CollectionSource
from optical_ray.ranking import RUN_DEPTH, EncodedCollection
from optical_ray.study.files import read_json
from optical_ray.study.layout import MANIFEST_FILE
from optical_ray.types import Qrels


@dataclass(frozen=True)
class PieceCounts:
    """Statistics of tokenized texts, without special tokens.

    ``fertility`` is tokens per word (``data.scripts.num_words``) over the texts that were not truncated; ``unknown`` is
    the share of tokens that stand for unknown text.
    """

    tokens: int
    mean_length: float
    fertility: float
    unknown: float


@dataclass(frozen=True)
class BitextCounts:
    """One language of one bitext; ``duplicates`` are pairs whose normalised texts occurred before.

    ``dropped`` counts by reason the rows that reading and the filter dropped.
    """

    dataset: str
    language: str
    pairs: int
    pieces: PieceCounts
    duplicates: int
    leaks: int
    truncated: int
    dropped: dict[str, int]
    licence: str


@dataclass(frozen=True)
class CollectionCounts:
    """One split of a target's collection; ``random_ap`` is the expected mean AP of a random ranking.

    ``judged`` is the number of judged documents, ``relevant`` the mean number of relevant ones per topic. ``pieces``
    describes the topics and ``document_pieces`` all documents, by the student's tokenizer; ``truncated`` counts the
    truncated documents, ``dropped`` by reason what reading dropped.
    """

    target: str
    split: str
    topics: int
    documents: int
    judged: int
    relevant: float
    pieces: PieceCounts
    document_pieces: PieceCounts
    truncated: int
    dropped: dict[str, int]
    random_ap: float
    licence: str


@dataclass(frozen=True)
class RelevanceCounts:
    """One training set of the teacher."""

    dataset: str
    pairs: int
    dropped: dict[str, int]
    licence: str


@dataclass(frozen=True)
class DataCounts:
    """All data of a study."""

    bitext: list[BitextCounts]
    relevance: list[RelevanceCounts]
    collections: list[CollectionCounts]


def data_counts(experiment: Experiment, preparation: Preparation) -> DataCounts:
    """Count what ``prepare_text`` made; every text is read once, then its counts are cached."""
    tokenizer = preparation.initial_student.tokenizer.open()
    bitext = [
        _bitext(name, experiment.data.bitext[name].licence, language, tokens, leaks, tokenizer)
        for language in preparation.inputs.bitext.tokens
        for name, tokens, leaks in zip(
            experiment.trial.data.bitext,
            preparation.inputs.bitext.tokens[language],
            preparation.inputs.bitext.leaks[language],
            strict=True,
        )
    ]
    pairs = zip(preparation.sources, preparation.inputs.scoring.collections, strict=True)
    collections = [_collection(source, folder, tokenizer) for source, folder in pairs]
    return DataCounts(bitext, _relevance(experiment, preparation), collections)


def _bitext(
    name: str, licence: str, language: str, tokens: Path, leaks: Path, tokenizer: PieceTokenizer
) -> BitextCounts:
    manifest = read_json(tokens / MANIFEST_FILE)

    def build(folder: Path) -> dict[str, object]:
        pieces, words = Ragged.open(tokens, "foreign"), []
        seen = []
        for batch in ShardReader(tokens.parent / manifest["shard"]).batches():
            pivot, foreign = batch["pivot"].to_pylist(), batch["foreign"].to_pylist()
            words += [num_words(text) for text in foreign]
            seen += [_pair_hash(*pair) for pair in zip(pivot, foreign, strict=True)]
        repeated = len(seen) - len(np.unique(np.array(seen, dtype=np.uint64)))
        return {"pieces": asdict(_counts(pieces, words, tokenizer)), "duplicates": repeated}

    counts = read_json(Cache(tokens.parent).entry("statistics", _key(tokens), build) / MANIFEST_FILE)
    return BitextCounts(
        name,
        language,
        manifest["pairs"],
        PieceCounts(**counts["pieces"]),
        counts["duplicates"],
        read_json(leaks / MANIFEST_FILE)["leaks"],
        manifest["truncated"],
        manifest["dropped"],
        licence,
    )


def _key(tokens: Path) -> str:
    return f"{tokens.name}-{WORD_RULE}"


def _pair_hash(pivot: str, foreign: str) -> int:
    content = f"{normalise(pivot)}\t{normalise(foreign)}".encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def _relevance(experiment: Experiment, preparation: Preparation) -> list[RelevanceCounts]:
    training = experiment.trial.teacher_training
    if training is None or preparation.teacher.pairs is None:
        return []
    cache, negatives = Cache(preparation.teacher.pairs.parent), training.negatives
    rows = []
    for name in training.data:
        dataset = experiment.data.relevance[name]
        counts = _counted_pairs(dataset, negatives, cache)
        rows.append(RelevanceCounts(name, counts["pairs"], counts["dropped"], dataset.licence))
    return rows


def _counted_pairs(dataset: RelevanceDataset, negatives: int, cache: Cache) -> dict[str, Any]:
    def build(folder: Path) -> dict[str, object]:
        counts = Counts()
        pairs = sum(1 for _ in dataset.pairs(counts, negatives))
        return {"pairs": pairs, "dropped": counts.dropped}

    key = digest(["relevance", dataset.fingerprint(), negatives])
    manifest: dict[str, Any] = read_json(cache.entry("statistics", key, build) / MANIFEST_FILE)
    return manifest


def _collection(source: CollectionSource, folder: Path, tokenizer: PieceTokenizer) -> CollectionCounts:
    def build(_: Path) -> dict[str, object]:
        words = [num_words(document.text) for document in source.collection.documents]
        return {"documents": asdict(_counts(Ragged.open(folder, "documents"), words, tokenizer))}

    documents = read_json(Cache(folder.parent).entry("statistics", _key(folder), build) / MANIFEST_FILE)["documents"]
    collection, meta = EncodedCollection.open(folder), read_json(folder / "collection.json")
    manifest = read_json(folder / MANIFEST_FILE)
    grades = collection.qrels.grades
    level = collection.qrels.relevance_level
    relevant = [sum(grade >= level for grade in judged.values()) for judged in grades.values()]
    return CollectionCounts(
        collection.target,
        collection.split,
        len(collection.topic_ids),
        len(collection.doc_ids),
        len({doc_id for judged in grades.values() for doc_id in judged}),
        float(np.mean(relevant)),
        _counts(collection.topics, [num_words(text) for text in meta["topics"]], tokenizer),
        PieceCounts(**documents),
        manifest["truncated"]["documents"],
        manifest["dropped"],
        random_ap(collection.qrels, len(collection.doc_ids)),
        source.dataset.licence,
    )


def _counts(pieces: Ragged, words: Sequence[int], tokenizer: PieceTokenizer) -> PieceCounts:
    values = np.asarray(pieces.values)
    is_special = np.isin(values, list(tokenizer.specials))
    starts = np.asarray(pieces.offsets[:-1])
    lengths = np.add.reduceat(~is_special, starts) if len(values) else np.zeros(0, np.int64)
    longest = int(pieces.lengths.max(initial=0))
    whole = np.asarray(pieces.lengths) < longest if (pieces.lengths < longest).any() else np.ones(len(pieces), np.bool_)
    num_words = int(np.asarray(words)[whole].sum())
    total = int(lengths.sum())
    unknown = [piece for name in ("<unk>", "[UNK]") if (piece := tokenizer.backend.token_to_id(name)) is not None]
    return PieceCounts(
        tokens=total,
        mean_length=total / max(len(pieces), 1),
        fertility=float(lengths[whole].sum()) / max(num_words, 1),
        unknown=float(np.isin(values, unknown).sum()) / max(total, 1),
    )


def random_ap(qrels: Qrels, num_documents: int, depth: int = RUN_DEPTH) -> float:
    """Return the expected AP of a random ranking, cut at ``depth``, mean over topics.

    With R of K documents relevant, E[AP] = 1/K * sum over i <= depth of (1/i + (1 - 1/i) (R - 1)/(K - 1)): a document
    is relevant with a probability of R/K, and each of the i - 1 before a relevant one with (R - 1)/(K - 1).

    >>> random_ap(Qrels({"t": {"d": 1}}), num_documents=2)
    0.75
    """
    ranks = np.arange(1, min(num_documents, depth) + 1)
    values = []
    for judged in qrels.grades.values():
        relevant = sum(grade >= qrels.relevance_level for grade in judged.values())
        others = (relevant - 1) / max(num_documents - 1, 1)
        values.append(float((1 / ranks + (1 - 1 / ranks) * others).sum()) / num_documents)
    return float(np.mean(values))
