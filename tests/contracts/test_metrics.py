"""What every metric keeps, whoever writes it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from optical_ray.metrics.interface import Metric
from optical_ray.metrics.scores import evaluate, parse
from optical_ray.registry import members
from optical_ray.types import Qrels

KINDS = members("optical_ray.metrics", Metric)
QRELS = Qrels({"q": {"a": 1, "b": 1}, "r": {"c": 1}})


def of(kind, cutoff=5):
    return KINDS[kind](cutoff=None if KINDS[kind].cutoff_rule == "none" else cutoff)


def test_names_are_all_there():
    assert {"AP", "RR", "nDCG", "P", "R"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_its_name_means_it(kind):
    metric = of(kind)
    assert parse(metric.name) == metric
    for alias in metric.aliases:
        assert parse(metric.name.replace(kind, alias)) == metric


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_run_beats_a_bad_one_and_an_empty_one_scores_zero(kind):
    metric = of(kind, cutoff=1) if kind == "P" else of(kind, cutoff=2)
    runs = {
        "perfect": {"q": {"a": 3.0, "b": 2.0, "x": 1.0}, "r": {"c": 2.0, "x": 1.0}},
        "bad": {"q": {"x": 4.0, "y": 3.0, "a": 2.0, "b": 1.0}, "r": {"x": 3.0, "y": 2.0, "c": 1.0}},
        "empty": {},
    }
    values = {name: evaluate([metric], QRELS, run)[metric.name] for name, run in runs.items()}
    assert values["perfect"] == {"q": 1.0, "r": 1.0}
    assert all(values["bad"][topic] < 1 for topic in "qr")
    assert values["empty"] == {"q": 0.0, "r": 0.0}


@pytest.mark.parametrize("kind", KINDS)
def test_a_cutoff_below_one_is_refused(kind):
    with pytest.raises(ValueError, match="cutoff"):
        KINDS[kind](cutoff=0)


def test_metrics_never_import_torch():
    code = "import sys; from optical_ray.metrics import scores, trec_run; scores.parse('AP'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" not in loaded
