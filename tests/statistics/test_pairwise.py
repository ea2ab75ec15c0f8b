from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from optical_ray.statistics.groups import Groups
from optical_ray.statistics.pairwise import significance
from optical_ray.statistics.significance import holm, sign_flip

RANDOM = np.random.default_rng(0)
BASE = RANDOM.uniform(size=60)
SYSTEMS = {"bm25": BASE, "dense": BASE + RANDOM.normal(0.05, 0.05, 60), "random": RANDOM.uniform(size=60)}


def test_every_pair_is_compared_and_adjusted() -> None:
    pairs = significance(SYSTEMS)
    assert [(pair.first, pair.second) for pair in pairs] == [("bm25", "dense"), ("bm25", "random"), ("dense", "random")]
    differences = np.stack([SYSTEMS[pair.first] - SYSTEMS[pair.second] for pair in pairs])
    assert [pair.p for pair in pairs] == pytest.approx(sign_flip(differences))
    assert [pair.p_holm for pair in pairs] == pytest.approx(holm(sign_flip(differences)))
    oracle = stats.ttest_rel(SYSTEMS["bm25"], SYSTEMS["dense"]).confidence_interval(0.95)
    assert (pairs[0].low, pairs[0].high) == pytest.approx((oracle.low, oracle.high))


def test_mappings_are_aligned_by_topic() -> None:
    topics = [f"q{index}" for index in range(60)]
    given = {name: dict(zip(topics, values, strict=True)) for name, values in SYSTEMS.items()}
    given["dense"] = dict(reversed(given["dense"].items()))
    assert significance(given) == significance(SYSTEMS)


def test_groups_by_topic_or_in_order() -> None:
    labels = [f"g{index // 5}" for index in range(60)]
    topics = [f"q{index}" for index in range(60)]
    given = {name: dict(zip(topics, values, strict=True)) for name, values in SYSTEMS.items()}
    pairs = significance(SYSTEMS, labels)
    assert pairs == significance(given, dict(zip(topics, labels, strict=True)))
    assert pairs[0].num_groups == 12
    assert pairs[0].p == sign_flip(SYSTEMS["bm25"] - SYSTEMS["dense"], Groups.from_labels(labels))[0]


@pytest.mark.parametrize(
    ("scores", "groups", "message"),
    [
        ({"a": [0.1]}, None, "expected at least two"),
        ({"a": [0.1, 0.2], "b": [0.1]}, None, "expected the same topics"),
        ({"a": {"q1": 0.1}, "b": {"q2": 0.1}}, None, "different topics"),
        ({"a": {"q1": 0.1}, "b": [0.1]}, None, "differ in type"),
        ({"a": [0.1, float("nan")], "b": [0.1, 0.2]}, None, "not finite"),
        ({"a": [], "b": []}, None, "no topics"),
        ({"a": [0.1, 0.2], "b": [0.1, 0.2]}, ["g"], "one per topic"),
        ({"a": {"q1": 0.1}, "b": {"q1": 0.1}}, {}, "have no group"),
        ({"a": [0.1], "b": [0.1]}, {"q1": "g"}, "Give a sequence"),
    ],
)
def test_bad_input(scores: object, groups: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        significance(scores, groups)  # type: ignore[arg-type]


def test_one_topic_has_no_interval() -> None:
    [pair] = significance({"a": [0.3], "b": [0.1]})
    assert pair.p == 1.0
    assert np.isnan(pair.low)
