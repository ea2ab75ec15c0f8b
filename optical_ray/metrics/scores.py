"""Scores per topic from judgements and a run, computed by trec_eval."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import pytrec_eval

from optical_ray.metrics.interface import Metric
from optical_ray.registry import members
from optical_ray.types import InputError, PerQueryScores, Qrels, Run


def parse(name: str) -> Metric:
    """Return the metric with a name such as ``AP``, ``RR@10``, ``nDCG@20``, ``P@10``, ``R@100`` or ``Recall@100``.

    Raises ``InputError`` with the known names for any other.

    >>> parse("nDCG@20").name, parse("Recall@100").name
    ('nDCG@20', 'R@100')
    >>> parse("MAPP")
    Traceback (most recent call last):
        ...
    optical_ray.types.InputError: metric 'MAPP' is not known (known: AP, P@k, R@k, RR, Rprec, Success@k, nDCG)
    """
    known: dict[str, type[Metric]] = members("optical_ray.metrics", Metric)  # type: ignore[type-abstract]
    by_name: Mapping[str, Callable[..., Metric]] = {
        alias: metric for metric in known.values() for alias in metric.aliases
    } | known
    match = re.fullmatch(r"([A-Za-z]+)(?:@([0-9]+))?", name)
    if match is None or match[1] not in by_name:
        listed = ", ".join(kind + ("@k" if m.cutoff_rule == "required" else "") for kind, m in known.items())
        raise InputError(f"metric {name[:40]!r} is not known (known: {listed})")
    try:
        return by_name[match[1]](cutoff=int(match[2]) if match[2] else None)
    except ValueError as error:
        raise InputError(f"metric {name!r}: {error}") from None


def evaluate(metrics: Sequence[Metric], qrels: Qrels, run: Run) -> PerQueryScores:
    """Score ``run`` per topic: metric name -> topic -> value, for every judged topic.

    A judged topic that the run lacks scores 0; a topic without judgements is ignored. Binary metrics count grades
    >= ``qrels.relevance_level`` as relevant; nDCG uses the grades. trec_eval orders a topic's documents by score and
    breaks ties by descending document id, whatever their order in the run. Raises ``InputError`` for a score that is
    NaN.

    >>> qrels = Qrels({"q1": {"d1": 1}, "q2": {"d9": 1}})
    >>> evaluate([parse("AP"), parse("R@1")], qrels, {"q1": {"d2": 2.0, "d1": 1.0}})
    {'AP': {'q1': 0.5, 'q2': 0.0}, 'R@1': {'q1': 0.0, 'q2': 0.0}}
    """
    judged: dict[str, dict[str, float]] = {}
    for topic_id in qrels.grades:
        documents = {doc_id: float(score) for doc_id, score in run.get(topic_id, {}).items()}
        unordered = next((doc_id for doc_id, score in documents.items() if math.isnan(score)), None)
        if unordered is not None:
            raise InputError(f"run: topic {topic_id!r}, document {unordered!r}: score must be a number, got nan")
        if documents:
            judged[topic_id] = documents
    grades = {topic_id: {doc: int(grade) for doc, grade in qrels.grades[topic_id].items()} for topic_id in judged}
    values: dict[str, dict[str, float]] = {}
    if judged:
        names = {metric.trec_name for metric in metrics}
        values = pytrec_eval.RelevanceEvaluator(grades, names, relevance_level=qrels.relevance_level).evaluate(judged)
    return {
        metric.name: {
            topic_id: metric.finish(values[topic_id][metric.trec_name.replace(".", "_")]) if topic_id in values else 0.0
            for topic_id in qrels.grades
        }
        for metric in metrics
    }


def mean(scores: PerQueryScores) -> dict[str, float]:
    """Return the mean over topics of each metric, 0 if there are no topics.

    >>> mean({"AP": {"q1": 0.5, "q2": 0.0}})
    {'AP': 0.25}
    """
    return {name: math.fsum(by_topic.values()) / max(len(by_topic), 1) for name, by_topic in scores.items()}
