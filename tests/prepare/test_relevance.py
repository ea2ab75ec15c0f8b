"""A teacher's tokenized examples have the requested number of hard negatives, with their scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import from_dict
from optical_ray.data.ragged import Ragged
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.models import Examples
from optical_ray.prepare.relevance import relevance_pieces
from optical_ray.prepare.vocabulary import tokenizer_of
from optical_ray.study.files import read_json, read_jsonl
from optical_ray.types import InputError
from tests import tiny_study
from tests.tiny_study import spec, write_data

EXAMPLES = [
    {"query": "river", "document": "river bread", "negatives": ["stone cloud"], "scores": [2, -1]},
    {"query": "horse", "document": "horse green", "negatives": ["night", "water", "friend"], "scores": [5, 1, 2, 3]},
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("relevance") / "data")


@pytest.fixture
def make(data: Path, tmp_path: Path) -> Callable[..., Experiment]:
    def made(examples: list[dict[str, Any]] = EXAMPLES, **training: Any) -> Experiment:
        (tmp_path / "examples.jsonl").write_text("".join(json.dumps(example) + "\n" for example in examples))
        raw = spec(data)
        raw["data"]["relevance"] = {"hard": {"kind": "jsonl", "root": str(tmp_path)}}
        raw["trial"]["teacher_training"] = {"data": ["hard"], "steps": 4, "batch_size": 2, **training}
        return from_dict(raw)

    return made


def pieces_of(experiment: Experiment, storage: Path) -> tuple[Path, PieceTokenizer]:
    cache, teacher = Cache(storage / "cache"), experiment.trial.teacher
    tokenizer = tokenizer_of(teacher, experiment, cache)
    return relevance_pieces(experiment, teacher, tokenizer, cache), tokenizer


def test_every_example_has_its_negatives_and_scores(make: Callable[..., Experiment], tmp_path: Path) -> None:
    folder, tokenizer = pieces_of(make(negatives=2, kl_weight=1.0), tmp_path)
    negatives = Ragged.open(folder, "negatives")
    texts = ["stone cloud", "stone cloud", "night", "water"]  # the first has one, which comes twice
    assert [row.tolist() for row in (negatives[i] for i in range(4))] == tokenizer.encode(texts, "document", 32).ids
    assert np.load(folder / "scores.npy").tolist() == [[2, -1, -1], [5, 1, 2]]
    queries, documents, scores = Examples(folder, 2, tokenizer.pad).batch([1, 0])
    assert len(queries) == 2
    expected = tokenizer.encode(["horse green", "river bread", *texts[2:], *texts[:2]], "document", 32).ids
    assert [[i for i in row if i != tokenizer.pad] for row in documents.tolist()] == expected
    assert scores.tolist() == [[5, 1, 2], [2, -1, -1]]
    assert len(Examples(folder, 0, tokenizer.pad).batch([0])) == 2


@pytest.mark.parametrize(
    ("example", "training", "message"),
    [
        ({"query": "a", "document": "b"}, {"negatives": 1}, "hard: the query 'a' has no hard negatives"),
        ({"query": "a", "document": "b", "negatives": ["c"]}, {"negatives": 1, "kl_weight": 1}, "has no scores"),
        ({"query": "", "document": "b"}, {}, "no training example in hard"),
    ],
)
def test_missing_negatives_and_scores_are_refused(
    make: Callable[..., Experiment], tmp_path: Path, example: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pieces_of(make([example], **training), tmp_path)
    assert not list((tmp_path / "cache").glob("relevance-*"))


def test_scores_without_negatives_are_refused(make: Callable[..., Experiment]) -> None:
    with pytest.raises(InputError, match=r"trial.teacher_training.*kl_weight: .*set negatives too"):
        make(kl_weight=1.0)


def test_a_teacher_trains_on_them(make: Callable[..., Experiment], tmp_path: Path) -> None:
    prepared = tiny_study.prepare(make(negatives=2, kl_weight=1.0), tmp_path)
    rows = list(read_jsonl(prepared.inputs.models.teacher / "metrics.jsonl"))
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(row["loss"] > row["kl"] > 0 for row in rows)
    assert read_json(prepared.inputs.models.teacher / "manifest.json")["steps"] == 4
