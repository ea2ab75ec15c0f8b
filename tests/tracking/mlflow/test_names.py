"""MLflow accepts every name and value."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ray.tracking.mlflow.names import MAX_TEXT, flatten, legal_name, metric_name, parameter_text


@settings(deadline=None)  # the first call imports MLflow
@given(st.text(max_size=400))
def test_every_name_becomes_legal(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    made = legal_name(name)
    _validate_metric_name(made)
    _validate_param_name(made)
    assert legal_name(made) == made


def test_known_names_stay() -> None:
    for name in ("loss", "ot/marginal_error", "tokens_per_second", "AP/sw", "loss.solver.epsilon"):
        assert legal_name(name) == name


def test_only_scores_of_targets_go_below_eval() -> None:
    targets = frozenset({"sw"})
    assert metric_name("AP/sw", targets) == "eval/AP/sw"
    assert metric_name("Recall@100/mean", targets) == "eval/Recall_100/mean"
    assert metric_name("mixture/de", targets) == "mixture/de"


def test_values_are_cut_and_trees_are_flat() -> None:
    assert len(parameter_text("x" * 9000)) == MAX_TEXT
    assert flatten({"a": {"b": {"c": None, "d": [1, 2]}, "e": {}}, "f@g": True}) == {
        "a.b.c": "null",
        "a.b.d": "[1, 2]",
        "a.e": "{}",
        "f_g": "true",
    }
