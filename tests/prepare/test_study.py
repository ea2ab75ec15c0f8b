"""What trials share is made once, is what it says it is, and gives trials their keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import from_dict, with_params
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.evaluate import Evaluator, means
from optical_ray.prepare import models
from optical_ray.prepare.study import prepare_models
from optical_ray.prepare.text import Preparation, prepare_text
from optical_ray.study.files import read_json, read_jsonl
from optical_ray.training.context import LocalContext
from optical_ray.training.inputs import Bitext, Models, Scoring
from optical_ray.training.loop import Schedule
from optical_ray.training.teacher_embeddings import TeacherEmbeddings
from tests import tiny_study
from tests.tiny_study import NUM_PAIRS, SOURCES, TARGETS

Make = Callable[..., Experiment]


def test_the_teacher_was_trained(experiment: Experiment, prepared: Preparation) -> None:
    rows = list(read_jsonl(prepared.inputs.models.teacher / "metrics.jsonl"))
    assert [row["step"] for row in rows] == list(range(1, 9))
    start = experiment.trial.teacher.build(Checkpoint.open(prepared.inputs.models.teacher).tokenizer()).state_dict()
    end = Checkpoint.open(prepared.inputs.models.teacher).load().state_dict()
    assert any(not torch.equal(start[name], end[name]) for name in end)


class Killed(BaseException):
    """The process is gone."""


def test_a_teacher_that_was_killed_goes_on_from_its_checkpoint(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "REPORT_EVERY", 2)
    raw = make().model_dump(mode="json")
    raw["trial"]["teacher_training"]["steps"] = 7
    raw["trial"]["teacher"]["dropout"] = 0.2
    experiment = from_dict(raw)
    steps: list[int] = []

    def train(storage: Path, last: int | None = None) -> Preparation:
        class Mortal(LocalContext):
            def report(self, metrics: dict[str, Any], write: Callable[[Path], None] | None = None) -> None:
                super().report(metrics, write)
                if metrics.get("stage") == "teacher":
                    steps.append(metrics["step"])
                    if metrics["step"] == last:
                        raise Killed

        def fit(loop: Callable[[LocalContext, Any], None], job: Any, name: str) -> None:
            loop(Mortal(storage / "local" / name, torch.device("cpu")), job)

        folder = storage / experiment.name
        folder.mkdir(parents=True, exist_ok=True)
        text = prepare_text(experiment, storage, lambda stage: None)
        prepare_models(experiment, folder, text, fit, lambda stage: None)
        return text

    whole = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", last=4)
    torch.manual_seed(4321)
    resumed = train(tmp_path / "killed")
    assert steps == [2, 4, 6, 2, 4, 6]
    expected, got = (load_file(prepared.inputs.models.teacher / "model.safetensors") for prepared in (whole, resumed))
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    rows = list(read_jsonl(resumed.inputs.models.teacher / "metrics.jsonl"))
    assert [row["step"] for row in rows] == list(range(1, 8))


def test_embeddings_are_what_the_teacher_says_of_each_sentence(
    experiment: Experiment, prepared: Preparation, tmp_path: Path
) -> None:
    assert prepared.inputs.models.embeddings is not None
    checkpoint = Checkpoint.open(prepared.inputs.models.teacher)
    teacher, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    root = Path(experiment.data.bitext["made"].root or "")  # type: ignore[attr-defined]
    sentences = [line.split("\t")[0] for line in (root / "de.tsv").read_text().splitlines()]
    hashes = np.load(prepared.inputs.bitext.tokens["de"][0] / "pivot_hash.npy")
    assert len(hashes) == len(sentences) == NUM_PAIRS
    embeddings = TeacherEmbeddings(prepared.inputs.models.embeddings)
    cloud, pieces = embeddings.token_embeddings(list(hashes)), embeddings.pieces(list(hashes))
    assert cloud.norms is not None
    for row, (sentence, vectors, mask) in enumerate(zip(sentences, cloud.vectors, cloud.mask, strict=True)):
        ids = torch.tensor(tokenizer.encode([sentence], "query", 32).ids)
        with torch.no_grad():
            alone = teacher(ids)
            hidden = teacher.projection(teacher.backbone(input_ids=ids).last_hidden_state)[alone.mask]
        assert torch.equal(torch.from_numpy(pieces[row]), ids[alone.mask].int())
        assert torch.allclose(cloud.norms[row][mask], hidden.norm(dim=-1), rtol=1e-4)
        expected = alone.vectors[0][alone.mask[0]]
        assert vectors[mask].shape == expected.shape
        assert torch.allclose(vectors[mask], expected, atol=1e-3)  # half precision
    assert not [path for path in prepared.inputs.models.embeddings.iterdir() if path.name.startswith("part")]


def test_the_undistilled_student_is_scored(experiment: Experiment, prepared: Preparation) -> None:
    folder = prepared.inputs.models.teacher.parents[1] / experiment.name / "baselines" / "undistilled"
    student = Checkpoint.open(prepared.inputs.models.initial_student).load()
    evaluator = Evaluator(prepared.inputs.scoring.collections, experiment.evaluation.metrics)
    assert read_json(folder / "scores.json") == means(evaluator.evaluate(student, ("eval", "test")))
    assert read_json(folder / "baseline.json")["state"] == "COMPLETE"


def fitted(experiment: Experiment, storage: Path) -> tuple[Preparation, list[str]]:
    """Preparation once more, and the names of what workers were asked to do."""
    names: list[str] = []

    def fit(loop: Any, job: Any, name: str) -> None:
        names.append(name)
        loop(LocalContext(storage / "local" / name, torch.device("cpu")), job)

    folder = storage / experiment.name
    folder.mkdir(parents=True, exist_ok=True)
    text = prepare_text(experiment, storage, lambda stage: None)
    prepare_models(experiment, folder, text, fit, lambda stage: None)
    return text, names


def test_a_second_time_no_worker_is_asked(make: Make, tmp_path: Path) -> None:
    experiment = make()
    first, asked = fitted(experiment, tmp_path)
    assert len(asked) == 1
    second, asked = fitted(experiment, tmp_path)
    assert asked == []
    assert first == second


def test_a_target_that_comes_later_is_scored_and_nothing_is_trained_again(make: Make, tmp_path: Path) -> None:
    first, _ = fitted(make({"evaluation.targets": ["sw"]}), tmp_path)
    weights = (first.inputs.models.teacher / "model.safetensors").stat().st_mtime_ns
    second, asked = fitted(make({"evaluation.targets": ["sw", "so"]}), tmp_path)
    assert len(asked) == 1
    assert (second.inputs.models.teacher, second.inputs.models.embeddings) == (
        first.inputs.models.teacher,
        first.inputs.models.embeddings,
    )
    assert (second.inputs.models.teacher / "model.safetensors").stat().st_mtime_ns == weights
    scores = read_json(tmp_path / "tiny" / "baselines" / "undistilled" / "scores.json")
    assert set(scores["test"]["AP"]) == set(TARGETS)


def test_two_storages_have_the_same_teacher(make: Make, tmp_path: Path, prepared: Preparation) -> None:
    other = tiny_study.prepare(make(), tmp_path / "other")
    one, two = (
        load_file(folder / "model.safetensors")
        for folder in (prepared.inputs.models.teacher, other.inputs.models.teacher)
    )
    assert prepared.inputs.models.teacher.name == other.inputs.models.teacher.name
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_teacher_with_dropout_is_the_same_again(make: Make, tmp_path: Path) -> None:
    weights = []
    for name in ("one", "two"):
        experiment = make({"trial.teacher.dropout": 0.3})
        torch.manual_seed(len(weights))  # other processes begin with other random numbers
        prepared = tiny_study.prepare(experiment, tmp_path / name)
        weights.append(load_file(prepared.inputs.models.teacher / "model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_teacher_that_breaks_leaves_none(make: Make, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError):
        tiny_study.prepare(make({"trial.teacher_training.learning_rate": 1e30}), tmp_path)
    assert not list((tmp_path / "cache").glob("encoder-*/manifest.json"))


# ---- keys


def key(experiment: Experiment, prepared: Preparation, seed: int = 7, **params: Any) -> str:
    return prepared.trial_key(with_params(experiment, {"data.source_languages": "de", **params}), seed)


def with_digests(prepared: Preparation, **digests: Any) -> Preparation:
    inputs = replace(prepared.inputs, digests=replace(prepared.inputs.digests, **digests))
    return replace(prepared, inputs=inputs)


def test_a_key_says_what_can_change_a_number(make: Make, prepared: Preparation) -> None:
    experiment = make()
    own = key(experiment, prepared)
    assert len(own) == 12
    others = [
        key(experiment, prepared, seed=8),
        key(experiment, prepared, **{"data.source_languages": "hi"}),
        key(experiment, prepared, **{"loss.solver.epsilon": 0.2}),
        key(make({"trial.optimizer.steps": 9}), prepared),
        key(make({"trial.anchor": {"weight": 0.25}}), prepared),
        key(make({"trial.student": {"freeze_embeddings": True}}), prepared),
        key(experiment, with_digests(prepared, teacher="x")),
        key(experiment, with_digests(prepared, initial_student="x")),
        key(experiment, with_digests(prepared, bitext={"made": "x"})),
    ]
    assert len({own, *others}) == 1 + len(others)


def test_a_key_says_nothing_else(make: Make, prepared: Preparation, tmp_path: Path) -> None:
    own = key(make(), prepared)
    for settings in (
        {"evaluation.targets": ["sw"]},
        {"evaluation.metrics": ["AP"]},
        {"evaluation.every": 2},
        {"compute.num_workers": 2},
        {"name": "other"},
        {"search.num_trials": 5},
    ):
        assert key(make(settings), prepared) == own, settings
    inputs = replace(
        prepared.inputs,
        models=Models(tmp_path, tmp_path, None, share_tokenizer=True),
        bitext=replace(prepared.inputs.bitext, tokens={}),
        scoring=Scoring((), (), "student"),
    )
    elsewhere = replace(prepared, inputs=inputs)
    assert key(make(), elsewhere) == own


def test_keys_of_these_digests_never_change(make: Make, prepared: Preparation) -> None:
    without_leaks = Bitext(prepared.inputs.bitext.tokens, dict.fromkeys(SOURCES, ()))
    pinned = with_digests(prepared, teacher="encoder-t", initial_student="encoder-i", bitext={"made": "b"})
    pinned = replace(pinned, inputs=replace(pinned.inputs, bitext=without_leaks))
    assert key(make(), pinned) == "c824d6447ebf"


def test_a_job_is_the_trial_and_where_its_data_lies(
    experiment: Experiment, prepared: Preparation, tmp_path: Path
) -> None:
    trial = with_params(experiment, {"data.source_languages": "hi+mr"})
    job = tiny_study.job(experiment, prepared, trial, 7, tmp_path, 4)
    assert set(job.inputs.bitext.tokens) == {"hi", "mr"}
    assert job.key == prepared.trial_key(trial, 7)
    assert job.schedule == Schedule(evaluate_every=4, checkpoint_every=2, objective="AP/mean")
    assert job.logged_step == 4
    assert job.inputs.scoring.collections == prepared.inputs.scoring.collections
