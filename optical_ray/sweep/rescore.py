"""Score finished students on targets and metrics that were added later, without training them again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.encoders.checkpoint_files import has_checkpoint
from optical_ray.evaluate import write_evaluation
from optical_ray.study.layout import SPLITS, ResultFolder
from optical_ray.study.records import Scores
from optical_ray.sweep.cluster import workers_of
from optical_ray.sweep.open_study import OpenStudy
from optical_ray.training.context import Context
from optical_ray.training.driver import fit
from optical_ray.training.inputs import Scoring
from optical_ray.training.loop import build_evaluator


@dataclass(frozen=True)
class RescoringJob:
    """Encoders to score: pairs of a checkpoint's folder and the folder that its scores are written to."""

    encoders: tuple[tuple[Path, Path], ...]
    scoring: Scoring
    teacher: Path


def rescore(study: OpenStudy) -> tuple[str, ...]:
    """Compute the missing scores of complete trials; returns the keys of those whose weights were not kept."""
    evaluation = study.experiment.evaluation
    expected = [(s, m, t) for s in SPLITS for m in evaluation.metrics for t in study.experiment.targets]
    incomplete = [
        ResultFolder(study.ledger.trial_folder(record.key).resolve())
        for record in study.ledger.complete
        if not _has(study.ledger.scores(record.key), expected)
    ]
    with_weights = [folder for folder in incomplete if has_checkpoint(folder.student)]
    if with_weights:
        encoders = tuple((folder.student, folder.path) for folder in with_weights)
        job = RescoringJob(encoders, study.inputs.scoring, study.inputs.models.teacher)
        train = study.layout.train
        fit(score_students, job, name="rescore", folder=train, workers=workers_of(study.experiment.compute))
        shutil.rmtree(train / "rescore", ignore_errors=True)
    return tuple(folder.path.name for folder in incomplete if folder not in with_weights)


def score_students(context: Context, job: RescoringJob) -> None:
    """Score each encoder of ``job`` on both splits."""
    evaluator = build_evaluator(job.scoring, job.teacher)
    for checkpoint, folder in job.encoders:
        student = Checkpoint.open(checkpoint).load().to(context.device)
        evaluation = evaluator.evaluate(student, SPLITS, context.rank, context.num_workers)
        if context.is_rank_zero:
            write_evaluation(folder, evaluation)
    context.report({"stage": "done"})


def _has(scores: Scores, expected: list[tuple[str, str, str]]) -> bool:
    return all(target in scores.get(split, {}).get(metric, {}) for split, metric, target in expected)
