"""BM25 over small collections in several scripts, and over collections without words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from optical_ray.config.baselines import Bm25
from optical_ray.config.experiment import Experiment
from optical_ray.prepare.baselines import check_baselines, score_runs
from optical_ray.prepare.bm25 import bm25
from optical_ray.prepare.text import prepare_text
from optical_ray.study.records import read_scores
from optical_ray.types import Collection, Document, Qrels, Run, Topic


def search(documents: list[str], topics: dict[str, str], language: str = "en") -> Run:
    """Run BM25 over a collection with the topics ``q1`` and ``q2``; the first document is relevant to both."""
    return bm25(
        Collection(
            "made",
            "test",
            [Topic(name, name, "sw") for name in ("q1", "q2")],
            [Document(f"d{place}", text, language) for place, text in enumerate(documents)],
            Qrels({name: {"d0": 1} for name in ("q1", "q2")}),
            "",
        ),
        topics,
        Bm25(language=language),
        depth=10,
    )


def test_topics_of_only_the_other_split_give_an_empty_run() -> None:
    assert search(["river bread"], {"q9": "river"}) == {}


@pytest.mark.parametrize("documents", [["the and of", "a"], ["...", ""]])
def test_documents_without_a_word_give_empty_rankings(documents: list[str]) -> None:
    assert search(documents, {"q1": "the river", "q2": ""}) == {"q1": {}}


def test_a_topic_without_a_known_word_has_an_empty_ranking() -> None:
    found = search(["the river", "", "bread"], {"q1": "of the", "q2": "unheard river"})
    assert found["q1"] == {}
    assert set(found["q2"]) == {"d0"}


@pytest.mark.parametrize(
    ("language", "documents", "topic"),
    [
        ("hi", ["नदी का पानी", "नदा और नद"], "नदी"),
        ("yo", ["\u1ecdj\u1ecd\u0301 kan", "\u1ecdj\u1ecd\u0300 kan"], "o\u0323jo\u0323\u0301"),
        ("th", ["ตั้งปลุกตอนเช้า", "ฝนตกหนัก"], "ปลุก"),
        ("zh", ["我住在東京都", "今天下雨"], "東京"),
    ],
)
def test_words_are_found_in_scripts_with_marks_and_without_spaces(
    language: str, documents: list[str], topic: str
) -> None:
    assert set(search(documents, {"q1": topic}, language)["q1"]) == {"d0"}


def test_a_file_of_only_test_topics_gives_a_row_for_test_only(
    data: Path, make: Callable[..., Experiment], tmp_path: Path
) -> None:
    test = {s.target: s.collection for s in prepare_text(make(), tmp_path, print).sources if s.split == "test"}
    topics = {}
    for target, collection in test.items():
        (data / f"{target}.tsv").write_text("".join(f"{topic.topic_id}\triver bread\n" for topic in collection.topics))
        topics[target] = str(data / f"{target}.tsv")
    experiment = make({"baselines": {"bm25": {"topics": topics}}})
    text = prepare_text(experiment, tmp_path, print)
    check_baselines(experiment, text)
    score_runs(experiment, text, tmp_path / "tiny")
    assert set(read_scores(tmp_path / "tiny" / "baselines" / "bm25")) == {"test"}
