"""Scores compared with ir_measures, which also has other implementations."""

from __future__ import annotations

import random

import ir_measures
import pytest

from optical_ray.metrics.scores import evaluate, mean, parse
from optical_ray.types import InputError, Qrels

NAMES = ["AP", "AP@10", "RR", "RR@3", "nDCG", "nDCG@20", "P@10", "R@100", "R@5", "Success@1", "Rprec"]


def case(seed, *, level=1, ties=False):
    rng = random.Random(seed)
    documents = [f"d{i}" for i in range(60)]
    grades, run = {}, {}
    for topic in range(8):
        judged = rng.sample(documents, rng.randint(1, 30))
        grades[f"q{topic}"] = {doc: rng.randint(0, 3) for doc in judged} | {judged[0]: 3}
        retrieved = rng.sample(documents, rng.randint(1, 60))
        run[f"q{topic}"] = {doc: float(rng.randint(0, 4)) if ties else rng.random() for doc in retrieved}
    del run["q3"]
    run["unjudged"] = {"d1": 1.0}
    return Qrels(grades, level), run


def with_level(name, level):
    measure = ir_measures.parse_measure(name.replace("nDCG", "nDCG"))
    return measure(rel=level) if "rel" in measure.SUPPORTED_PARAMS else measure


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_ir_measures(seed, level, ties):
    qrels, run = case(seed, level=level, ties=ties)
    scores = evaluate([parse(name) for name in NAMES], qrels, run)
    assert list(scores) == NAMES
    for name in NAMES:
        if ties and name == "RR@3":
            continue  # ir_measures cuts the run by its own order of ties before trec_eval sees it
        expected = {m.query_id: m.value for m in ir_measures.iter_calc([with_level(name, level)], qrels.grades, run)}
        expected = {topic: expected.get(topic, 0.0) for topic in qrels.grades}
        assert scores[name] == pytest.approx(expected, abs=1e-12), name


def test_every_judged_topic_has_a_score_and_no_other():
    qrels, run = case(0)
    scores = evaluate([parse("AP")], qrels, run)["AP"]
    assert list(scores) == list(qrels.grades)
    assert scores["q3"] == 0.0


def test_a_run_that_shares_no_topic_scores_zero():
    qrels, _ = case(0)
    for run in ({}, {"other": {"d1": 1.0}}, {"q0": {}}):
        assert set(evaluate([parse("nDCG@20")], qrels, run)["nDCG@20"].values()) == {0.0}


def test_ties_are_broken_by_descending_document_id():
    qrels = Qrels({"q": {"a": 1}, "r": {"b": 1}})
    run = {"q": {"a": 1.0, "b": 1.0}, "r": {"a": 1.0, "b": 1.0}}
    assert evaluate([parse("RR")], qrels, run)["RR"] == {"q": 0.5, "r": 1.0}


def test_relevance_level_counts_for_binary_measures_and_grades_for_ndcg():
    grades, run = {"q": {"a": 1, "b": 2}}, {"q": {"a": 2.0, "b": 1.0}}
    at_one, at_two = (evaluate([parse("AP"), parse("nDCG")], Qrels(grades, level), run) for level in (1, 2))
    assert at_one["AP"]["q"] == 1.0
    assert at_two["AP"]["q"] == 0.5
    assert at_one["nDCG"] == at_two["nDCG"]
    assert at_two["nDCG"]["q"] < 1


def test_nan_is_refused_and_infinity_is_ordered():
    qrels = Qrels({"q": {"a": 1}})
    with pytest.raises(InputError, match="topic 'q', document 'a': score must be a number, got nan"):
        evaluate([parse("AP")], qrels, {"q": {"a": float("nan")}})
    assert evaluate([parse("AP")], qrels, {"q": {"a": float("-inf"), "b": 0.0}})["AP"]["q"] == 0.5


def test_mean_is_over_all_topics():
    qrels, run = case(1)
    assert mean(evaluate([parse("AP")], qrels, run))["AP"] == pytest.approx(
        ir_measures.calc_aggregate([ir_measures.AP], qrels.grades, run)[ir_measures.AP]
    )
    assert mean({"AP": {}}) == {"AP": 0.0}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "metric 'nope' is not known"),
        ("P", "metric 'P': P: needs a cutoff, such as P@10"),
        ("Rprec@3", "metric 'Rprec@3': Rprec: takes no cutoff, got @3"),
        ("nDCG@0", "metric 'nDCG@0': nDCG: cutoff must be >= 1, got 0"),
        ("nDCG@-1", "metric 'nDCG@-1' is not known"),
        ("", "metric '' is not known"),
    ],
)
def test_an_unknown_name_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        parse(name)
