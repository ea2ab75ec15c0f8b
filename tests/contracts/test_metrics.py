"""The contract of every metric; ir_measures is the oracle of its values."""

from __future__ import annotations

import random
import subprocess
import sys

import ir_measures
import pytest

from optical_ray.metrics.interface import Metric
from optical_ray.metrics.scores import evaluate, parse
from optical_ray.registry import members
from optical_ray.types import Qrels

KINDS = members("optical_ray.metrics", Metric)
QRELS = Qrels({"q": {"a": 1, "b": 1, "x": 0, "y": 0}, "r": {"c": 1, "x": 0}})


def with_cutoff(kind: str, cutoff: int = 5) -> Metric:
    return KINDS[kind](cutoff=None if KINDS[kind].cutoff_rule == "none" else cutoff)


def random_case(seed: int) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Judgements and a run over 60 documents; one topic is missing from the run, another is not judged."""
    rng = random.Random(seed)
    documents = [f"d{i}" for i in range(60)]
    grades, run = {}, {}
    for topic in range(8):
        judged = rng.sample(documents, rng.randint(1, 30))
        grades[f"q{topic}"] = {doc: rng.randint(0, 3) for doc in judged} | {judged[0]: 3}
        run[f"q{topic}"] = {doc: rng.random() for doc in rng.sample(documents, rng.randint(1, 60))}
    del run["q3"]
    return grades, run | {"unjudged": {"d1": 1.0}}


def test_the_common_metrics_exist() -> None:
    assert {"AP", "RR", "nDCG", "P", "R"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_its_name_and_its_aliases_parse(kind: str) -> None:
    metric = with_cutoff(kind)
    assert parse(metric.name) == metric
    for alias in metric.aliases:
        assert parse(metric.name.replace(kind, alias)) == metric


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_its_values_are_those_of_ir_measures(kind: str, level: int) -> None:
    metric = with_cutoff(kind)
    grades, run = random_case(level)
    measure = ir_measures.parse_measure(metric.name)
    oracle = measure(rel=level) if "rel" in measure.SUPPORTED_PARAMS else measure
    expected = {value.query_id: value.value for value in ir_measures.iter_calc([oracle], grades, run)}
    scores = evaluate([metric], Qrels(grades, level), run)[metric.name]
    assert scores == pytest.approx({topic: expected.get(topic, 0.0) for topic in grades}, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_run_is_better_than_a_bad_one_and_an_empty_one_scores_zero(kind: str) -> None:
    metric = with_cutoff(kind, cutoff=1) if kind == "P" else with_cutoff(kind, cutoff=2)
    runs: dict[str, dict[str, dict[str, float]]] = {
        "perfect": {"q": {"a": 3.0, "b": 2.0, "x": 1.0}, "r": {"c": 2.0, "x": 1.0}},
        "bad": {"q": {"x": 4.0, "y": 3.0, "a": 2.0, "b": 1.0}, "r": {"x": 3.0, "y": 2.0, "c": 1.0}},
        "empty": {},
    }
    values = {name: evaluate([metric], QRELS, run)[metric.name] for name, run in runs.items()}
    assert values["perfect"] == {"q": 1.0, "r": 1.0}
    assert all(values["bad"][topic] < 1 for topic in "qr")
    assert values["empty"] == {"q": 0.0, "r": 0.0}


@pytest.mark.parametrize("kind", KINDS)
def test_a_cutoff_below_one_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="cutoff"):
        KINDS[kind](cutoff=0)


def test_metrics_never_import_torch() -> None:
    code = "import sys; from optical_ray.metrics import scores, trec_run; scores.parse('AP'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" not in loaded
