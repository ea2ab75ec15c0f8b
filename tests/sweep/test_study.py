"""What a later launch of the same study may change, and where a study may lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.key import canonical
from optical_ray.config.load import from_dict
from optical_ray.prepare.text import prepare_text
from optical_ray.study.events import Failed, to_report
from optical_ray.sweep import study
from optical_ray.sweep.description import check_unchanged
from optical_ray.sweep.observer import Observer
from optical_ray.sweep.open_study import OpenStudy
from optical_ray.sweep.study import check_storage
from optical_ray.types import InputError
from tests.tiny_study import SOURCES, spec
from tests.toy_info import write_toy_info

Make = Callable[..., Experiment]
DATA = Path("/corpora")


def changed(path: str, value: Any) -> Experiment:
    """The tiny study with ``value`` at a path whose parts are separated by slashes; ``KeyError``: taken away."""
    raw = spec(DATA)
    *parents, last = path.split("/")
    node = raw
    for part in parents:
        node = node.setdefault(part, {})
    if value is KeyError:
        del node[last]
    else:
        node[last] = value
    return from_dict(raw)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A study that was begun with the tiny spec."""
    write_toy_info(tmp_path, experiment=canonical(from_dict(spec(DATA))))
    return tmp_path


def test_a_new_study_may_be_anything(tmp_path: Path) -> None:
    check_unchanged(from_dict(spec(DATA)), tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("search/num_trials", 9),
        ("search/seeds", 3),
        ("evaluation/targets", ["sw"]),
        ("evaluation/metrics", ["AP", "RR"]),
        ("evaluation/every", 2),
        ("compute/num_workers", 2),
        ("compute/keep", "best"),
        ("tracking", [{"kind": "mlflow", "uri": "http://127.0.0.1:5000"}]),
        ("data/collections/mr", {"kind": "trec", "language": "mr"}),
    ],
)
def test_what_changes_no_number_may_change(begun: Path, path: str, value: Any) -> None:
    experiment = changed(path, value)
    assert experiment != from_dict(spec(DATA))
    check_unchanged(experiment, begun)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("seed", 8, ["seed", "7", "8"]),
        ("trial/optimizer/steps", 9, ["trial.optimizer.steps", "8", "9"]),
        ("trial/anchor/weight", 0.1, ["trial.anchor.weight", "0.5", "0.1"]),
        ("trial/loss", {"kind": "greedy"}, ["trial.loss"]),
        ("space/loss.solver.epsilon/low", 0.01, ["space.loss.solver.epsilon.low", "0.05", "0.01"]),
        ("space/data.source_languages/of", [*SOURCES, "sw"], ["space.data.source_languages.of"]),
        ("space/optimizer.steps", {"kind": "int", "low": 8, "high": 9}, ["space.optimizer.steps"]),
        ("search/sampler", "random", ["search.sampler", "tpe", "random"]),
        ("search/objective", "nDCG@20", ["search.objective"]),
        ("evaluation/documents", "teacher", ["evaluation.documents", "student", "teacher"]),
        ("data/bitext/web", {"kind": "parallel_text", "root": "/x"}, ["data.bitext.web"]),
        ("data/collections/sw", KeyError, ["data.collections.sw"]),
        ("data/collections/sw/relevance_level", 2, ["data.collections.sw.relevance_level", "1", "2"]),
    ],
)
def test_anything_else_is_refused_with_its_path(begun: Path, path: str, value: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        check_unchanged(changed(path, value), begun)
    for word in [*words, "another name"]:
        assert word in str(caught.value)


def test_a_storage_must_be_a_folder_that_can_be_written(tmp_path: Path) -> None:
    assert check_storage(str(tmp_path)) == tmp_path
    assert check_storage(str(tmp_path / "not" / "yet")) == tmp_path / "not" / "yet"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file"):
        check_storage(str(tmp_path / "file" / "below"))
    for uri in ("s3://bucket/runs", "gs://bucket"):
        with pytest.raises(InputError, match=r"--storage.*that all nodes share"):
            check_storage(uri)


def test_a_storage_without_rights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # a test may run as root, who may write anywhere
    with pytest.raises(InputError, match=r"--storage.*cannot be written"):
        check_storage(str(tmp_path / "runs"))


def test_a_teacher_that_diverges_is_reported(
    tmp_path: Path, opened: Callable[..., OpenStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = opened().experiment
    preparation = prepare_text(experiment, tmp_path, lambda stage: None)
    failure = to_report(Failed("", "loss is nan at step 3"))
    monkeypatch.setattr(study, "fit", lambda *args, **kwargs: failure)
    with pytest.raises(InputError, match=r"trial\.teacher_training: loss is nan at step 3"):
        study._make_models(OpenStudy(experiment, preparation, opened().ledger), Observer())
