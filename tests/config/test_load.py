"""From YAML to a checked spec: variables, settings, corners, and messages that say where and what."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.load import check_corners, from_dict, load, trial_from_dict, with_params
from optical_ray.config.space import Params
from optical_ray.losses.greedy import Greedy
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.losses.weighted_sum import WeightedSum
from optical_ray.types import InputError

Write = Callable[[Any], Path]
EPSILON, SOURCES = "loss.solver.epsilon", "data.source_languages"


def test_a_spec_is_read_with_its_defaults(write: Write, raw: dict[str, Any]) -> None:
    experiment = load(write(raw))
    assert experiment.targets == ("sw", "so")
    assert experiment.seeds == (3,)
    assert experiment.trial.data.source_languages == ("de",)
    assert experiment.trial.loss.kind == "optimal_transport"
    assert experiment.checkpoint_every == experiment.evaluation.every


def test_what_was_read_is_read_again_from_its_resolved_form(write: Write, raw: dict[str, Any]) -> None:
    experiment = load(write(raw))
    assert from_dict(experiment.model_dump(mode="json")) == experiment
    assert trial_from_dict(experiment.trial.model_dump(mode="json")) == experiment.trial


# ---- variables


def test_variables_come_from_the_environment_or_their_default(write: Write, raw: dict[str, Any]) -> None:
    raw["name"] = "on-${MACHINE}-${PLACE:-here}"
    raw["evaluation"] = {"targets": ["${TARGET:-so}"]}
    raw["tracking"] = [{"kind": "mlflow", "experiment": "a${NOTHING:-}b"}]
    experiment = load(write(raw), environment={"MACHINE": "node7", "TARGET": "sw"})
    assert experiment.name == "on-node7-here"
    assert experiment.targets == ("sw",)
    assert experiment.tracking[0].experiment == "ab"


def test_the_environment_is_that_of_the_process(
    write: Write, raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_STUDY_NAME", "from-outside")
    raw["name"] = "${A_STUDY_NAME}"
    assert load(write(raw)).name == "from-outside"


def test_a_variable_that_is_not_set_is_named_with_its_place(write: Write, raw: dict[str, Any]) -> None:
    raw["data"]["bitext"]["web"] = {"kind": "parallel_text", "root": "${CORPORA}/web"}
    with pytest.raises(InputError, match=r"data.*bitext.*web.*root.*CORPORA.*not set"):
        load(write(raw), environment={})


def test_a_value_is_not_filled_twice(write: Write, raw: dict[str, Any]) -> None:
    raw["tracking"] = [{"kind": "mlflow", "experiment": "${ONE}"}]
    assert load(write(raw), environment={"ONE": "${TWO}", "TWO": "x"}).tracking[0].experiment == "${TWO}"


# ---- settings


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("seed=11", lambda e: e.seed == 11),
        ("trial.optimizer.steps=7", lambda e: e.trial.optimizer.steps == 7),
        ("trial.optimizer.learning_rate=1.0e-4", lambda e: e.trial.optimizer.learning_rate == 1e-4),
        ("trial.data.source_languages=[hi, mr]", lambda e: e.trial.data.source_languages == ("hi", "mr")),
        ("trial.data.source_languages=mr+hi", lambda e: e.trial.data.source_languages == ("hi", "mr")),
        ("trial.loss={kind: optimal_transport, marginals: norm}", lambda e: e.trial.loss.marginals == "norm"),
        ("compute.cache_limit=2 MB", lambda e: e.compute.cache_limit == 2_000_000),
        ("evaluation={targets: [so]}", lambda e: e.targets == ("so",)),
        (
            "tracking=[{kind: mlflow, uri: 'http://host:5000/?a=b'}]",
            lambda e: e.tracking[0].uri == "http://host:5000/?a=b",
        ),
        ("data.collections.mr={kind: cldr_annotations, language: mr}", lambda e: e.targets == ("sw", "so", "mr")),
        (f"space.{EPSILON}={{kind: float, low: 0.1, high: 0.2}}", lambda e: e.space[EPSILON].high == 0.2),
        ("space.optimizer.steps={kind: int, low: 5, high: 9}", lambda e: len(e.space) == 3),
        ("space={}", lambda e: e.space == {}),
        ("search.num_trials=9", lambda e: e.search.num_trials == 9),
    ],
)
def test_a_setting_changes_the_spec(
    write: Write, raw: dict[str, Any], setting: str, read: Callable[[Any], bool]
) -> None:
    assert read(load(write(raw), [setting]))


def test_later_settings_win(write: Write, raw: dict[str, Any]) -> None:
    assert load(write(raw), ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("seed", ["seed", "value"]),
        ("=4", ["=4", "value"]),
        ("seed.low=4", ["seed", "not a block"]),
        ("trial.optimizer=[", ["trial.optimizer", "YAML"]),
        ("trial.optimizer.stepps=7", ["trial.optimizer.stepps", "unknown key"]),
        ("trial.optimizer.steps=many", ["trial.optimizer.steps", "many"]),
        ("trial.optimizer.steps=0", ["trial.optimizer.steps", "0"]),
        ("space.loss.solver.epsilom={kind: float, low: 0.1, high: 1}", ["epsilom"]),
    ],
)
def test_a_setting_is_checked_like_the_file(write: Write, raw: dict[str, Any], setting: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        load(write(raw), [setting])
    for word in words:
        assert word in str(caught.value)


# ---- what is refused


def put(raw: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``raw`` with ``value`` at ``path``, whose parts are separated by slashes."""
    raw = deepcopy(raw)
    *parents, last = path.split("/")
    node: Any = raw
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return raw


def sinkhorn(**values: Any) -> dict[str, Any]:
    return {"kind": "optimal_transport", "solver": {"kind": "sinkhorn", **values}}


BAD = [
    ("trail", {}, ["trail", "unknown key"]),
    ("name", "a b", ["name", "a b"]),
    ("name", "../other", ["name", "../other"]),
    ("seed", "seven", ["seed", "seven"]),
    ("data/bitext", {}, ["data.bitext"]),
    ("data/collections", {}, ["data.collections"]),
    ("data/bitext/cldr/kind", "cldr", ["data.bitext.cldr", "cldr_annotations"]),
    ("data/bitext/cldr/langs", ["de"], ["data.bitext.cldr.langs", "unknown key"]),
    ("data/bitext/cldr/content", "poems", ["data.bitext.cldr.content", "poems"]),
    ("data/collections/xx", {"kind": "cldr_annotations", "language": "xx"}, ["data.collections.xx.language", "'xx'"]),
    ("data/collections/sw", {"kind": "trec"}, ["data.collections.sw.language", "missing"]),
    ("trial/data/batch_size", "many", ["trial.data.batch_size", "many"]),
    ("trial/data/batch_size", 0, ["trial.data.batch_size", "0"]),
    ("trial/data/bitext", ["web"], ["trial.data.bitext", "'web'", "cldr"]),
    ("trial/data/source_languages", [], ["trial.data.source_languages"]),
    ("trial/data/source_languages", "", ["trial.data.source_languages"]),
    ("trial/data/max_length", 999, ["data.max_length", "999"]),
    ("trial/loss", {"kind": "magic"}, ["trial.loss", "magic", "optimal_transport"]),
    ("trial/loss", sinkhorn(epsilon=-1.0), ["trial.loss.solver.epsilon", "-1"]),
    ("trial/loss", sinkhorn(epsilom=1.0), ["trial.loss.solver.epsilom"]),
    ("trial/loss", sinkhorn(epsilon="big"), ["loss.solver.epsilon", "big"]),
    ("trial/teacher/heads", 5, ["trial.teacher.hidden", "multiple of heads"]),
    ("trial/teacher", {"kind": "pretrained"}, ["trial.teacher.checkpoint"]),
    ("trial/teacher_training", None, ["teacher_training", "scratch"]),
    ("trial/teacher_training/data", ["fr"], ["trial.teacher_training.data", "'fr'", "en"]),
    ("trial/student", {"init": {"kind": "scratch"}}, ["student.init", "scratch"]),
    ("trial/optimizer/learning_rate", 0, ["trial.optimizer.learning_rate", "0"]),
    ("trial/anchor/weight", -0.5, ["trial.anchor.weight", "-0.5"]),
    ("evaluation/targets", ["mr"], ["evaluation.targets", "'mr'", "sw"]),
    ("evaluation/metrics", ["MAPP"], ["evaluation.metrics", "MAPP"]),
    ("evaluation/documents", "nobody", ["evaluation.documents", "nobody"]),
    ("search/objective", "P@3", ["search.objective", "P@3"]),
    ("search/num_trials", 0, ["search.num_trials", "0"]),
    ("search/num_trials", None, ["search.num_trials"]),
    ("search/mode", "estimate", ["search", "num_trials"]),
    ("search/start_with", [{"optimizer.steps": 3}], ["search.start_with", "optimizer.steps"]),
    ("search/start_with", [{SOURCES: "fr"}], ["search.start_with", SOURCES, "fr"]),
    ("search/start_with", [{SOURCES: ""}], ["search.start_with", SOURCES]),
    ("search/start_with", [{EPSILON: 4.0}], ["search.start_with", EPSILON, "4"]),
    ("search", {"num_trials": 3, "seeds": 2, "scheduler": {"kind": "asha"}}, ["search.scheduler", "seeds: 1"]),
    ("compute/num_workers", 0, ["compute.num_workers", "0"]),
    ("compute/num_workers", 3, ["trial.data.batch_size", "3"]),
    ("compute/cache_limit", "2 elephants", ["compute.cache_limit", "2 elephants"]),
    ("compute/cache_limit", "1.2.3 GB", ["compute.cache_limit", "1.2.3 GB"]),
    (f"space/{EPSILON}", {"kind": "float", "low": 0.0, "high": 1.0, "log": True}, [EPSILON, "low"]),
    (f"space/{EPSILON}", {"kind": "float", "low": 0.0, "high": 1.0}, [EPSILON, "0.0"]),
    (f"space/{EPSILON}", {"kind": "float", "low": 1.0, "high": 0.1}, [EPSILON, "low=1.0"]),
    (f"space/{EPSILON}", {"kind": "floaty", "low": 0.1, "high": 1.0}, [EPSILON, "floaty"]),
    (f"space/{EPSILON}", {"kind": "float", "low": 0.1}, [f"space.{EPSILON}.high", "missing"]),
    ("space/loss.solver.epsilom", {"kind": "float", "low": 0.1, "high": 1.0}, ["space.loss.solver.epsilom"]),
    ("space/los.epsilon", {"kind": "float", "low": 0.1, "high": 1.0}, ["space.los.epsilon", "loss"]),
    ("space/data.max_length", {"kind": "int", "low": 8, "high": 16}, ["space.data.max_length", "share"]),
    ("space/teacher.layers", {"kind": "int", "low": 1, "high": 2}, ["space.teacher.layers", "share"]),
    ("space/teacher_training.steps", {"kind": "int", "low": 1, "high": 2}, ["space.teacher_training.steps", "share"]),
    ("space/data", {"kind": "choice", "of": [{"bitext": ["cldr"], "source_languages": "de"}]}, ["space.data", "share"]),
    ("space/student.init", {"kind": "choice", "of": ["teacher"]}, ["space.student.init", "share"]),
    (f"space/{SOURCES}", {"kind": "subset", "of": ["de", "xx"]}, [f"space.{SOURCES}", "'xx'", "cldr", "de, en"]),
    (f"space/{SOURCES}", {"kind": "subset", "of": []}, [f"space.{SOURCES}.of"]),
    (f"space/{SOURCES}", {"kind": "subset", "of": ["de", "de"]}, [f"space.{SOURCES}.of", "twice"]),
    (f"space/{SOURCES}", {"kind": "subset", "of": ["de"], "min_size": 2}, [f"space.{SOURCES}.min_size", "2"]),
    (f"space/{SOURCES}", {"kind": "subset", "of": ["", "de"]}, [SOURCES]),
    (f"space/{SOURCES}", {"kind": "subset", "of": ["de"], "min_size": 0}, [f"space.{SOURCES}.min_size", "0"]),
    ("space/data.batch_size", {"kind": "choice", "of": [8, "many"]}, ["data.batch_size", "many"]),
    ("space/data.batch_size", {"kind": "choice", "of": []}, ["space.data.batch_size.of"]),
    ("space/data.batch_size", {"kind": "choice", "of": [8, 8]}, ["space.data.batch_size.of", "twice"]),
    ("space/optimizer.steps", {"kind": "int", "low": 0, "high": 8}, ["optimizer.steps", "0"]),
    ("space/optimizer.steps", {"kind": "int", "low": 1, "high": 8, "log": True, "step": 2}, ["optimizer.steps.step"]),
    ("space/loss", {"kind": "choice", "of": [{"kind": "magic"}]}, ["loss", "magic"]),
]


@pytest.mark.parametrize(("path", "value", "words"), BAD, ids=[f"{path}={str(value)[:40]}" for path, value, _ in BAD])
def test_a_bad_spec_is_refused_with_its_place(
    write: Write, raw: dict[str, Any], path: str, value: Any, words: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        load(write(put(raw, path, value)))
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "pydantic" not in message
    assert "union" not in message


@pytest.mark.parametrize("missing", ["name", "data", "trial", "data/collections", "trial/teacher", "trial/data/bitext"])
def test_what_is_missing_is_named(write: Write, raw: dict[str, Any], missing: str) -> None:
    *parents, last = missing.split("/")
    node: Any = raw
    for part in parents:
        node = node[part]
    del node[last]
    with pytest.raises(InputError, match=rf"^{re.escape(missing.replace('/', '.'))}: missing"):
        load(write(raw))


def test_all_that_is_wrong_is_said_at_once(write: Write, raw: dict[str, Any]) -> None:
    raw["sead"] = 1
    raw["trial"]["optimizer"] = {"steps": -1}
    with pytest.raises(InputError) as caught:
        load(write(raw))
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["trial.optimizer.steps", "sead"]


@pytest.mark.parametrize("content", ["name: [", "- a\n- b\n", "", "just words", "name: \x07"])
def test_a_file_that_is_no_spec_is_refused_by_its_name(write: Write, content: str) -> None:
    with pytest.raises(InputError, match=r"spec\.yaml"):
        load(write(content))


def test_a_file_that_is_not_there_or_no_text_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=str(tmp_path)):
        load(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match=r"bytes\.yaml: not YAML"):
        load(tmp_path / "bytes.yaml")


# ---- params into a trial


@pytest.mark.parametrize(("value", "word"), [(8, "multiple of 10"), (8.5, "multiple of 10"), (45, "[5, 40]")])
def test_a_start_must_be_a_value_that_the_dimension_has(raw: dict[str, Any], value: float, word: str) -> None:
    raw["space"]["optimizer.steps"] = {"kind": "int", "low": 5, "high": 40, "step": 10}
    raw["search"]["start_with"] = [{"optimizer.steps": 15}, {"optimizer.steps": value}]
    with pytest.raises(InputError) as caught:
        from_dict(raw)
    assert "search.start_with[1].optimizer.steps" in str(caught.value)
    assert word in str(caught.value)


def test_params_are_put_at_their_paths(raw: dict[str, Any]) -> None:
    raw["space"]["data.pairs"] = {"kind": "choice", "of": [None, 100, 200]}
    raw["trial"]["data"]["pairs"] = 200
    experiment = from_dict(raw)
    trial = with_params(experiment, {SOURCES: "mr+de", EPSILON: 0.25, "data.pairs": 100})
    assert trial.data.source_languages == ("de", "mr")
    assert trial.loss.solver.epsilon == 0.25  # type: ignore[attr-defined]
    assert trial.data.pairs == 100
    assert with_params(experiment, {"data.pairs": "null"}).data.pairs is None
    assert experiment.trial.data.pairs == 200


def test_a_chosen_block_takes_its_inner_values_whatever_the_order(raw: dict[str, Any]) -> None:
    blocks = [{"kind": "optimal_transport", "cost": cost} for cost in ("cosine", "squared_euclidean")]
    raw["space"]["loss"] = {"kind": "choice", "of": [*blocks, {"kind": "optimal_transport", "marginals": "uniform"}]}
    experiment = from_dict(raw)
    label = experiment.space["loss"].grid()[1]
    for params in ({EPSILON: 0.25, "loss": label}, {"loss": label, EPSILON: 0.25}):
        trial = with_params(experiment, params)
        assert trial.loss.cost == "squared_euclidean"  # type: ignore[attr-defined]
        assert trial.loss.solver.epsilon == 0.25  # type: ignore[attr-defined]


def test_a_path_that_a_chosen_block_lacks_is_refused(raw: dict[str, Any]) -> None:
    raw["space"]["loss"] = {"kind": "choice", "of": [{"kind": "greedy"}, {"kind": "optimal_transport"}]}
    with pytest.raises(InputError, match=r"loss=greedy.*space\.loss\.solver\.epsilon: the trial has no block 'solver'"):
        check_corners(from_dict(raw))
    inside = sinkhorn(epsilon=raw["space"].pop(EPSILON))
    raw["space"]["loss"]["of"][1] = inside
    experiment = from_dict(raw)
    check_corners(experiment)
    assert isinstance(with_params(experiment, {"loss": "greedy"}).loss, Greedy)
    trial = with_params(experiment, {EPSILON: 0.3, "loss": "optimal_transport"})
    assert trial.loss.solver.epsilon == 0.3  # type: ignore[attr-defined]
    inside["solver"]["epsilon"]["low"] = 0.0
    inside["solver"]["epsilon"]["log"] = False
    with pytest.raises(InputError, match=r"loss\.solver\.epsilon.*0\.0"):
        check_corners(from_dict(raw))


def test_checking_corners_changes_nothing_and_accepts_what_is_right(raw: dict[str, Any]) -> None:
    experiment = from_dict(raw)
    before = experiment.model_dump()
    check_corners(experiment)
    assert experiment.model_dump() == before


def test_the_terms_of_a_sum_are_searched(raw: dict[str, Any]) -> None:
    epsilon = {"kind": "float", "low": 0.05, "high": 0.5, "log": True}
    weight = {"kind": "float", "low": 0.1, "high": 1.0}
    transport = {"loss": sinkhorn(epsilon=epsilon)}
    summed = {"kind": "sum", "terms": [transport, {"loss": {"kind": "greedy"}, "weight": weight}]}
    raw["space"] = {"loss": {"kind": "choice", "of": [{"kind": "contrastive"}, summed]}}
    raw["search"] = {"num_trials": 2}
    experiment = from_dict(raw)
    check_corners(experiment)
    params: Params = {"loss": "sum", "loss.terms.0.loss.solver.epsilon": 0.3, "loss.terms.1.weight": 0.7}
    loss = with_params(experiment, params).loss
    assert isinstance(loss, WeightedSum)
    first, second = loss.terms
    assert isinstance(first.loss, OptimalTransport)
    assert (first.loss.solver.epsilon, first.weight, second.weight) == (0.3, 1.0, 0.7)


def test_a_place_that_a_list_lacks_is_refused(raw: dict[str, Any]) -> None:
    raw["trial"]["loss"] = {"kind": "sum", "terms": [{"loss": {"kind": "greedy"}}]}
    raw["space"] = {"loss.terms.0.weight": {"kind": "choice", "of": [0.5, 1.0]}}
    check_corners(from_dict(raw))
    raw["space"] = {"loss.terms.1.weight": {"kind": "choice", "of": [0.5, 1.0]}}
    with pytest.raises(InputError, match=r"space\.loss\.terms\.1\.weight: the trial has no block '1' there \(has: 0\)"):
        check_corners(from_dict(raw))
