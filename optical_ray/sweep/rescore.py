"""Score finished students on targets and metrics that were added later, without training again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from optical_ray.config.experiment import Experiment
from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.encoders.checkpoint_files import has_checkpoint
from optical_ray.evaluate import Evaluator, write_evaluation
from optical_ray.prepare.study import Prepared
from optical_ray.prepare.text import SPLITS
from optical_ray.study.records import Ledger, Scores, TrialState
from optical_ray.sweep.cluster import workers_of
from optical_ray.training.context import Context
from optical_ray.training.driver import fit
from optical_ray.training.loop import ScoringJob


@dataclass(frozen=True)
class RescoringJob:
    """Encoders to be scored: the folder of each, and where its scores go."""

    encoders: tuple[tuple[Path, Path], ...]
    scoring: ScoringJob
    teacher: Path


def rescore(experiment: Experiment, prepared: Prepared, ledger: Ledger) -> tuple[str, ...]:
    """Fill in missing scores of complete trials; the keys of those whose weights were not kept come back."""
    wanted = [(s, m, t) for s in SPLITS for m in experiment.evaluation.metrics for t in experiment.targets]
    lacking = [
        ledger.trial_folder(record.key).resolve()
        for record in ledger.records
        if record.state is TrialState.COMPLETE and not _has(ledger.scores(record.key), wanted)
    ]
    kept = tuple(folder for folder in lacking if has_checkpoint(folder / "student"))
    if kept:
        encoders = tuple((folder / "student", folder) for folder in kept)
        job = RescoringJob(encoders, prepared.scoring(experiment), prepared.teacher)
        train = ledger.folder / "train"
        fit(score_students, job, name="rescore", folder=train, workers=workers_of(experiment.compute))
        shutil.rmtree(train / "rescore", ignore_errors=True)
    return tuple(folder.name for folder in lacking if folder not in kept)


def score_students(context: Context, job: RescoringJob) -> None:
    """Score each encoder of ``job`` on both splits."""
    evaluator = Evaluator(job.scoring.collections, job.scoring.metrics, job.scoring.documents, job.teacher)
    for checkpoint, folder in job.encoders:
        student = Checkpoint.open(checkpoint).load().to(context.device)
        evaluation = evaluator.evaluate(student, SPLITS, context.rank, context.num_workers)
        if context.leads:
            write_evaluation(folder, evaluation)
    context.report({"stage": "done"})


def _has(scores: Scores, wanted: list[tuple[str, str, str]]) -> bool:
    return all(target in scores.get(split, {}).get(metric, {}) for split, metric, target in wanted)
