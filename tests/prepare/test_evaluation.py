"""A student is evaluated outside of a study with the scores it has inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.evaluate import Evaluator
from optical_ray.prepare.evaluation import evaluate_checkpoint
from optical_ray.prepare.text import Preparation
from optical_ray.types import InputError


def test_scores_equal_those_of_the_study(experiment: Experiment, prepared: Preparation) -> None:
    collections = experiment.data.collections
    evaluation = evaluate_checkpoint(prepared.inputs.models.initial_student, collections, "test", ["AP", "RR"])
    student = Checkpoint.open(prepared.inputs.models.initial_student).load()
    assert evaluation == Evaluator(prepared.inputs.scoring.collections, ["AP", "RR"]).evaluate(student, ("test",))


def test_a_folder_without_a_student_is_refused(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no encoder\.json"):
        evaluate_checkpoint(tmp_path, experiment.data.collections, "test", ["AP"])
