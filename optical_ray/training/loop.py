"""Distil one student: the loop that a worker runs, from its last checkpoint or from scratch to the final scores."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from optical_ray.config.load import trial_from_dict
from optical_ray.config.trial import TrialConfig, reads_idf
from optical_ray.data.mixture import Mixture
from optical_ray.encoders.checkpoint import Checkpoint, save
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.evaluate import Evaluation, Evaluator, means, write_evaluation
from optical_ray.study.events import Completed, Progressed, to_report
from optical_ray.study.files import append_jsonl
from optical_ray.study.layout import SPLITS, ResultFolder
from optical_ray.training.batches import Control, PairStream
from optical_ray.training.checkpoint import load_state, save_state
from optical_ray.training.context import Context, Rows
from optical_ray.training.inputs import Inputs, Scoring
from optical_ray.training.mixing import build_mixture, load_pairs
from optical_ray.training.step import Distillation, TrainState, new_state, train_step
from optical_ray.training.student import adapt, autocast_dtype, finish_training
from optical_ray.training.teacher_embeddings import TeacherEmbeddings


@dataclass(frozen=True)
class Schedule:
    """At which steps a trial is evaluated and checkpointed.

    ``objective`` is the logged value that a scheduler compares, e.g. ``AP/mean`` (on the eval split).
    """

    evaluate_every: int
    checkpoint_every: int
    objective: str


@dataclass(frozen=True)
class DistillationJob:
    """One trial, as its workers need it: plain values and folders that every node can read.

    ``inputs`` hold the bitext of the trial's source languages; the distilled weights are written to
    ``folder / "student"``; ``logged_step`` is the last step that the ledger has; ``control`` changes the pairs, see
    ``PairStream``.
    """

    key: str
    seed: int
    config: Mapping[str, Any]
    inputs: Inputs
    schedule: Schedule
    folder: Path
    logged_step: int = 0
    keep_weights: bool = True
    control: Control | None = None


def distil(context: Context, job: DistillationJob) -> None:
    """Run ``job`` to its end. All files of the trial are written before the last report, ``Completed``.

    Raises ``FloatingPointError`` if the loss is not finite.
    """
    trial = trial_from_dict(job.config)
    torch.manual_seed(job.seed)
    models = job.inputs.models
    origin = Checkpoint.open(models.initial_student)
    student = origin.load()
    adapt(student, trial.student)
    stream = _stream(job, trial, student.pad)
    state = _state(context, job, trial, student)
    evaluator = build_evaluator(job.inputs.scoring, models.teacher)
    rows: Rows = []
    restored = context.restore()
    if restored is not None:
        rows = load_state(restored, state)
    attempt, resumed_from, sent = uuid4().hex[:12], state.step, job.logged_step

    def report(*, complete: bool) -> None:
        nonlocal sent
        new_rows = [row for row in rows if row["step"] > sent]
        sent = state.step
        name = job.schedule.objective
        objective = next((row[name] for row in reversed(rows) if name in row), 0.0)
        event = (Completed if complete else Progressed)(job.key, state.step, attempt, resumed_from, objective, new_rows)
        context.report(to_report(event), None if complete else lambda folder: save_state(folder, state, rows))

    steps = trial.optimizer.steps
    while state.step < steps:
        rows.append(_timed_step(context, state, stream))
        evaluated = state.step % job.schedule.evaluate_every == 0
        if evaluated and state.step < steps:
            rows[-1] |= _flat(evaluator.means(student, "eval", context.rank, context.num_workers))
        if state.step < steps and (evaluated or state.step % job.schedule.checkpoint_every == 0):
            report(complete=False)
    finish_training(student)
    evaluation = evaluator.evaluate(student, SPLITS, context.rank, context.num_workers)
    if rows and rows[-1]["step"] == steps:
        rows[-1] |= _flat(means(evaluation)["eval"])
    if context.is_rank_zero:
        _write(job, student, origin, evaluation)
        if job.control is not None:  # a control has no ledger that logs its rows
            metrics = ResultFolder(job.folder).metrics
            metrics.unlink(missing_ok=True)
            append_jsonl(metrics, rows)
    report(complete=True)


def build_evaluator(scoring: Scoring, teacher: Path) -> Evaluator:
    """The evaluator of the collections and metrics in ``scoring``."""
    return Evaluator(scoring.collections, scoring.metrics, scoring.documents, teacher)


def _stream(job: DistillationJob, trial: TrialConfig, pad: int) -> PairStream:
    models = job.inputs.models
    languages = load_pairs(trial, job.inputs.bitext)
    embeddings = None if models.embeddings is None else TeacherEmbeddings(models.embeddings)
    teacher_pad = Checkpoint.open(models.teacher).tokenizer().pad
    mixture: Mixture = build_mixture(trial, {name: table.lengths() for name, table in languages.items()}, job.seed)
    return PairStream(mixture, languages, embeddings, pad, teacher_pad, job.control, with_idf=reads_idf(trial))


def _state(context: Context, job: DistillationJob, trial: TrialConfig, student: TokenEncoder) -> TrainState:
    models = job.inputs.models
    objective = Distillation(
        student,
        trial.loss,
        anchor_weight=trial.anchor.weight,
        same_pieces=models.share_tokenizer,
        autocast=autocast_dtype(trial.student),
        teacher=Checkpoint.open(models.teacher).load() if models.embeddings is None else None,
    )
    forward = context.wrap(objective)
    return new_state(
        objective,
        forward,
        learning_rate=trial.optimizer.learning_rate,
        weight_decay=trial.optimizer.weight_decay,
        warmup=trial.optimizer.warmup,
        steps=trial.optimizer.steps,
        clip=trial.optimizer.clip,
    )


def _timed_step(context: Context, state: TrainState, stream: PairStream) -> dict[str, Any]:
    """Take one step and return its metric row."""
    start = time.perf_counter()
    state.forward.train()
    batch = stream.batch(state.step, context.rank, context.num_workers).to(context.device)
    row = train_step(state, batch)
    seconds = time.perf_counter() - start
    return {
        "step": state.step,
        "time": time.time(),
        **row,
        "tokens_per_second": batch.num_tokens * context.num_workers / seconds,
    }


def _flat(means: dict[str, dict[str, float]]) -> dict[str, float]:
    """``metric -> target -> value`` as ``metric/target``, with the mean over targets as ``metric/mean``."""
    flat = {f"{metric}/{target}": value for metric, by in means.items() for target, value in by.items()}
    flat |= {f"{metric}/mean": sum(by.values()) / len(by) for metric, by in means.items() if by}
    return flat


def _write(job: DistillationJob, student: TokenEncoder, origin: Checkpoint, evaluation: Evaluation) -> None:
    """Write the weights, then the scores, whose presence means that the trial's files are complete."""
    if job.keep_weights:
        lengths = {"query_length": origin.query_length, "document_length": origin.document_length}
        save(ResultFolder(job.folder).student, student, origin.tokenizer(), **lengths)
    write_evaluation(job.folder, evaluation)
