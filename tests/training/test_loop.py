"""A trial from its first step to its scores, whatever comes between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import trial_from_dict
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.evaluate import read_per_query
from optical_ray.prepare.text import Preparation
from optical_ray.study.events import Completed, from_report
from optical_ray.study.files import read_json
from optical_ray.training.context import LocalContext
from optical_ray.training.loop import DistillationJob, distil
from tests import tiny_study

CPU = torch.device("cpu")
STEPS = 8


class Killed(BaseException):
    """The process is gone."""


class MortalContext(LocalContext):
    """Dies right after the report of step ``last``, its checkpoint written or not."""

    last = 0
    writes = True

    def report(self, metrics: dict[str, Any], write: Callable[[Path], None] | None = None) -> None:
        dies = metrics["step"] == self.last
        super().report(metrics, write if self.writes or not dies else None)
        if dies:
            raise Killed


@pytest.fixture
def job(experiment: Experiment, prepared: Preparation, folder: Path) -> DistillationJob:
    return tiny_study.job(experiment, prepared, experiment.trial, 7, folder)


@pytest.fixture(scope="module")
def undisturbed(
    experiment: Experiment, prepared: Preparation, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], Path]:
    """Reports and folder of the same trial without any accident."""
    folder = tmp_path_factory.mktemp("undisturbed")
    context = LocalContext(folder / "run", CPU)
    distil(context, tiny_study.job(experiment, prepared, experiment.trial, 7, folder))
    return context.reports, folder


def without_embeddings(job: DistillationJob) -> DistillationJob:
    models = replace(job.inputs.models, embeddings=None)
    return replace(job, inputs=replace(job.inputs, models=models))


def numbers(reports: list[dict[str, Any]]) -> list[dict[str, float]]:
    """All rows but for what a clock says."""
    clocks = {"time", "tokens_per_second"}
    return [{k: v for k, v in row.items() if k not in clocks} for report in reports for row in report["rows"]]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "student" / "model.safetensors")


def assert_equal_ends(one: Path, other: Path) -> None:
    assert read_json(one / "scores.json") == read_json(other / "scores.json")
    assert read_per_query(one) == read_per_query(other)
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_every_step_is_told_once_and_scores_come_where_they_should(
    undisturbed: tuple[list[dict[str, Any]], Path],
) -> None:
    reports, folder = undisturbed
    rows = numbers(reports)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["step"] for row in rows if "AP/sw" in row] == [4, 8]
    assert [(event.step, isinstance(event, Completed)) for event in map(from_report, reports)] == [
        *((2, False), (4, False), (6, False), (8, True))
    ]
    scores = read_json(folder / "scores.json")
    assert {split: set(by) for split, by in scores.items()} == {"eval": {"AP", "nDCG@20"}, "test": {"AP", "nDCG@20"}}
    for target in ("so", "sw"):
        assert rows[-1][f"AP/{target}"] == scores["eval"]["AP"][target]
        assert (folder / f"run.{target}.trec.gz").is_file()
    assert rows[-1]["AP/mean"] == pytest.approx((scores["eval"]["AP"]["so"] + scores["eval"]["AP"]["sw"]) / 2)
    assert [report["objective"] for report in reports] == [
        0.0,
        rows[3]["AP/mean"],
        rows[3]["AP/mean"],
        rows[7]["AP/mean"],
    ]
    assert all(report["resumed_from"] == 0 for report in reports)


def test_the_student_that_was_kept_is_the_one_that_was_scored(
    undisturbed: tuple[list[dict[str, Any]], Path], prepared: Preparation
) -> None:
    _, folder = undisturbed
    student, start = Checkpoint.open(folder / "student"), Checkpoint.open(prepared.inputs.models.initial_student)
    assert student.tokenizer().digest == start.tokenizer().digest
    trained, first = student.load().state_dict(), start.load().state_dict()
    assert any(not torch.equal(trained[name], first[name]) for name in trained)


@pytest.mark.parametrize("last", [2, 4, 6])
@pytest.mark.parametrize("writes", [True, False], ids=["checkpoint", "lost checkpoint"])
def test_a_trial_that_was_killed_ends_like_one_that_was_not(
    job: DistillationJob, folder: Path, undisturbed: tuple[list[dict[str, Any]], Path], last: int, writes: bool
) -> None:
    first = MortalContext(folder / "run", CPU)
    first.last, first.writes = last, writes
    with pytest.raises(Killed):
        distil(first, job)
    assert not (folder / "scores.json").exists()
    torch.manual_seed(4321)
    second = LocalContext(folder / "run", CPU)
    distil(second, replace(job, logged_step=last))
    resumed = last if writes else last - 2
    assert {report["resumed_from"] for report in second.reports} == {resumed}
    assert numbers(first.reports) + numbers(second.reports) == numbers(undisturbed[0])
    assert_equal_ends(folder, undisturbed[1])


def test_a_trial_that_was_killed_after_its_last_step_writes_its_files_again(
    job: DistillationJob, folder: Path, undisturbed: tuple[list[dict[str, Any]], Path]
) -> None:
    first = MortalContext(folder / "run", CPU)
    first.last = STEPS
    with pytest.raises(Killed):
        distil(first, job)
    second = LocalContext(folder / "run", CPU)
    distil(second, replace(job, logged_step=STEPS))
    assert isinstance(from_report(second.reports[-1]), Completed)
    assert numbers(second.reports) == []
    assert_equal_ends(folder, undisturbed[1])


def test_a_teacher_inside_the_step_gives_the_same_losses(
    job: DistillationJob, folder: Path, undisturbed: tuple[list[dict[str, Any]], Path]
) -> None:
    context = LocalContext(folder / "run", CPU)
    distil(context, without_embeddings(job))
    losses = [row["loss"] for row in numbers(context.reports)]
    assert losses == pytest.approx([row["loss"] for row in numbers(undisturbed[0])], abs=1e-5)


def test_seeds_are_replicates(
    job: DistillationJob, folder: Path, undisturbed: tuple[list[dict[str, Any]], Path]
) -> None:
    context = LocalContext(folder / "run", CPU)
    distil(context, replace(job, seed=8, keep_weights=False))
    assert numbers(context.reports)[0]["loss"] != numbers(undisturbed[0])[0]["loss"]
    assert not (folder / "student").exists()
    assert (folder / "scores.json").is_file()


def test_frozen_embeddings_stay_those_of_the_start(job: DistillationJob, folder: Path, prepared: Preparation) -> None:
    distil(LocalContext(folder / "run", CPU), changed(job, "student", freeze_embeddings=True))
    start, end = load_file(prepared.inputs.models.initial_student / "model.safetensors"), weights(folder)
    [table] = [name for name in start if "word_embeddings" in name]
    assert torch.equal(start[table], end[table])
    assert not torch.equal(start["projection.weight"], end["projection.weight"])


def test_a_rate_that_breaks_the_student_is_said_and_leaves_no_scores(job: DistillationJob, folder: Path) -> None:
    with pytest.raises(FloatingPointError):
        distil(LocalContext(folder / "run", CPU), changed(job, "optimizer", learning_rate=1e30))
    assert not (folder / "scores.json").exists()


def test_a_student_that_is_broken_by_its_last_step_has_no_scores(job: DistillationJob, folder: Path) -> None:
    broken = changed(job, "optimizer", learning_rate=1e30, steps=1)
    with pytest.raises(FloatingPointError, match=r"so \(eval\)"):
        distil(LocalContext(folder / "run", CPU), broken)
    assert not (folder / "scores.json").exists()


def changed(job: DistillationJob, block: str, **values: Any) -> DistillationJob:
    config = {**job.config, block: {**job.config[block], **values}}
    return replace(job, config=trial_from_dict(config).model_dump(mode="json"))


@pytest.mark.parametrize("marginals", ["norm", "idf"])
def test_marginals_of_the_texts_reach_the_loss(
    experiment: Experiment, prepared: Preparation, marginals: str, tmp_path: Path
) -> None:
    """The loss differs from that of uniform marginals, and is the same whether the teacher's vectors are cached."""
    losses = {}
    for name, cached in ((marginals, True), (marginals, False), ("uniform", True)):
        loss = {**experiment.trial.model_dump(mode="json")["loss"], "marginals": name}
        trial = trial_from_dict({**experiment.trial.model_dump(mode="json"), "loss": loss})
        folder = tmp_path / f"{name}{cached}"
        job = tiny_study.job(experiment, prepared, trial, 7, folder)
        context = LocalContext(folder / "run", CPU)
        distil(context, job if cached else without_embeddings(job))
        losses[name, cached] = [row["loss"] for report in context.reports for row in report["rows"]]
    assert losses[marginals, True] == pytest.approx(losses[marginals, False], abs=2e-4)
    gaps = [abs(a - b) for a, b in zip(losses[marginals, True], losses["uniform", True], strict=True)]
    assert max(gaps) > 2e-3
