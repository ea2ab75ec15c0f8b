"""Exhaustive ranking from memory and from disk, and re-ranking of candidates, give equal scores."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from optical_ray import ranking
from optical_ray.data.ragged import Ragged
from optical_ray.encoders.scratch import ScratchEncoder
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import train_vocabulary
from optical_ray.evaluate import MACRO, score, write_evaluation
from optical_ray.metrics.scores import mean, parse
from optical_ray.ranking import DocumentVectors, EncodedCollection, documents_to_encode, encode, rank_collection
from optical_ray.study.files import read_json
from optical_ray.types import Qrels, Run
from tests.tiny_study import WORDS

NUM_TOPICS, NUM_DOCUMENTS = 5, 60


@pytest.fixture(scope="module")
def encoder() -> TokenEncoder:
    config = ScratchEncoder(layers=1, hidden=16, heads=2, intermediate=16, dim=8, vocabulary=120)
    return config.build(train_vocabulary(WORDS * 3, 120)).eval()


@pytest.fixture
def collection() -> EncodedCollection:
    numbers = np.random.default_rng(1)
    texts = [numbers.integers(8, 24, size=numbers.integers(1, 12)).tolist() for _ in range(NUM_TOPICS + NUM_DOCUMENTS)]
    rows = [[0, *text, 2] for text in texts]
    topics = [f"t{i}" for i in range(NUM_TOPICS)]
    return EncodedCollection(
        target="sw",
        split="test",
        topic_ids=topics,
        doc_ids=[f"d{i}" for i in range(NUM_DOCUMENTS)],
        topics=Ragged.from_rows(rows[:NUM_TOPICS]),
        documents=Ragged.from_rows(rows[NUM_TOPICS:]),
        teacher_documents=Ragged.from_rows(rows[NUM_TOPICS:]),
        qrels=Qrels({topic: {"d0": 1, f"d{i}": 1} for i, topic in enumerate(topics, start=1)}),
        documents_digest="x",
        languages=["en"],
        groups={},
        candidates=None,
    )


def run_of(encoder: TokenEncoder, collection: EncodedCollection, scratch: Path, in_memory: int) -> Run:
    rows = collection.documents.select(documents_to_encode(collection))
    documents = DocumentVectors.encode(encoder, rows, scratch, in_memory=in_memory)
    assert isinstance(documents.store, Ragged) == (in_memory == 0)
    return rank_collection(collection, encode(encoder, collection.topics), documents)


def test_documents_on_disk_are_ranked_as_those_in_memory(
    encoder: TokenEncoder, collection: EncodedCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "PART", 2000)
    whole = run_of(encoder, collection, tmp_path, in_memory=10**9)
    parted = run_of(encoder, collection, tmp_path, in_memory=0)
    assert list(whole) == list(parted) == list(collection.topic_ids)
    for topic_id, scores in whole.items():
        assert scores.keys() == parted[topic_id].keys()
        assert max(abs(scores[doc] - parted[topic_id][doc]) for doc in scores) < 0.02  # float16 against float32


def test_parts_on_disk_have_the_encoded_vectors_and_a_bounded_size(
    encoder: TokenEncoder, collection: EncodedCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "PART", 4000)
    documents = DocumentVectors.encode(encoder, collection.documents, tmp_path, in_memory=0)
    parts = list(documents.parts())
    assert len(parts) > 1
    assert all(part.vectors.numel() * 4 <= 4000 for part in parts)
    expected = encode(encoder, collection.documents)
    stored = torch.cat([part.vectors[part.mask] for part in parts])
    assert torch.allclose(stored, expected.vectors[expected.mask], atol=1e-3)


@pytest.mark.parametrize("in_memory", [0, 10**9])
def test_document_vectors_with_nan_are_marked(
    encoder: TokenEncoder, collection: EncodedCollection, tmp_path: Path, in_memory: int
) -> None:
    assert DocumentVectors.encode(encoder, collection.documents, tmp_path, in_memory=in_memory).are_finite
    broken = deepcopy(encoder)
    piece = int(collection.documents[NUM_DOCUMENTS - 1][1])
    with torch.no_grad():
        broken.input_embeddings.weight[piece] = float("nan")
    (tmp_path / "broken").mkdir()
    documents = DocumentVectors.encode(broken, collection.documents, tmp_path / "broken", in_memory=in_memory)
    assert not documents.are_finite


@pytest.mark.parametrize("in_memory", [0, 10**9])
def test_only_candidates_are_ranked_with_their_exhaustive_scores(
    encoder: TokenEncoder, collection: EncodedCollection, tmp_path: Path, in_memory: int
) -> None:
    exhaustive = run_of(encoder, collection, tmp_path, in_memory=10**9)
    rows = [[3, 1, 7], [59], [], [0, 2, 4, 6, 8], [3, 1]]
    reranked = replace(collection, candidates=Ragged.from_rows(rows))
    run = run_of(encoder, reranked, tmp_path, in_memory=in_memory)
    assert {topic: set(scores) for topic, scores in run.items()} == {
        f"t{i}": {f"d{position}" for position in row} for i, row in enumerate(rows) if row
    }
    for topic_id, scores in run.items():
        assert list(scores.values()) == sorted(scores.values(), reverse=True)
        for doc_id, value in scores.items():
            assert value == pytest.approx(exhaustive[topic_id][doc_id], abs=0.02 if in_memory == 0 else 1e-5)


def test_languages_of_retrieved_documents_are_counted_only_for_mixed_pools(collection: EncodedCollection) -> None:
    run = {"t0": {f"d{i}": float(-i) for i in range(30)}, "t1": {"d40": 1.0}}
    assert score(collection, run, [parse("AP")]).languages is None
    languages = ["en"] * 15 + ["sw"] * 45
    mixed = score(replace(collection, languages=languages), run, [parse("AP")])
    assert mixed.languages == {"en": 15 / 21, "sw": 6 / 21}


def test_macro_average_precision_is_the_mean_over_classes(collection: EncodedCollection) -> None:
    groups = {"t0": "weather", "t1": "weather", "t2": "weather", "t3": "weather", "t4": "alarm"}
    run = {"t0": {"d0": 1.0, "d1": 0.5}, "t3": {"d9": 2.0, "d0": 1.0}, "t4": {"d0": 3.0}}
    scored = score(replace(collection, groups=groups), run, [parse("AP"), parse("P@1")])
    by_topic = scored.per_query["AP"]
    classes: dict[str, list[float]] = {}
    for topic_id, value in by_topic.items():
        classes.setdefault(groups[topic_id], []).append(value)
    expected = np.mean([np.mean(values) for values in classes.values()])
    assert mean(scored.per_query)[MACRO] == pytest.approx(expected)
    assert MACRO not in score(collection, run, [parse("AP")]).per_query


def test_the_language_mix_is_written_for_mixed_pools(collection: EncodedCollection, tmp_path: Path) -> None:
    mixed = replace(collection, languages=["en"] * 15 + ["sw"] * 45)
    run = {"t0": {"d0": 2.0, "d20": 1.0}}
    both = {"sw": score(mixed, run, [parse("AP")]), "so": score(collection, run, [parse("AP")])}
    write_evaluation(tmp_path, {"test": both, "eval": both})
    assert read_json(tmp_path / "language_mix.json") == {"sw": {"en": 0.5, "sw": 0.5}}
    write_evaluation(tmp_path, {"test": {"ha": score(mixed, {"t0": {"d1": 1.0}}, [parse("AP")])}})
    assert set(read_json(tmp_path / "language_mix.json")) == {"sw", "ha"}
