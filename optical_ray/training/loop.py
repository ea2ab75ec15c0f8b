"""Distil one student: the loop that a worker runs from its checkpoint (or from nothing) to the final scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from optical_ray.config.load import trial_from_dict
from optical_ray.config.trial import TrialConfig, reads_idf
from optical_ray.data.mixture import Mixture
from optical_ray.encoders.checkpoint import Checkpoint, save
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.evaluate import Evaluation, Evaluator, means, write_evaluation
from optical_ray.study.files import append_jsonl
from optical_ray.training.batches import Control, PairStream
from optical_ray.training.checkpoint import load_state, save_state
from optical_ray.training.context import Context, Rows
from optical_ray.training.mixing import mixture_of, tables_of
from optical_ray.training.step import Distillation, TrainState, new_state, train_step
from optical_ray.training.student import adapt, autocast_dtype, settle
from optical_ray.training.teacher_embeddings import TeacherEmbeddings


@dataclass(frozen=True)
class ScoringJob:
    """What to score an encoder on.

    ``collections`` are folders of encoded collections; ``documents`` says who reads the documents; a metric's
    mean over the targets is reported under ``<metric>/mean``.
    """

    collections: tuple[Path, ...]
    metrics: tuple[str, ...]
    documents: str


@dataclass(frozen=True)
class DistillationJob:
    """One trial, as a worker needs it: plain values and folders that every node can read.

    ``tokens`` are the folders of each source language's tokenised bitext, ``leaks`` those that list the rows which give
    evaluation text away; ``embeddings`` holds the teacher's
    vectors, or is ``None`` where the teacher runs inside the step; ``logged_step`` is the last step that the ledger
    has; ``objective`` is the metric that a scheduler looks at, e.g. ``AP/mean`` (on the eval split); the distilled
    weights go to ``folder / "student"``.
    """

    key: str
    seed: int
    config: dict[str, Any]
    teacher: Path
    init: Path
    tokens: dict[str, tuple[Path, ...]]
    embeddings: Path | None
    same_pieces: bool
    scoring: ScoringJob
    objective: str
    every: int
    checkpoint_every: int
    folder: Path
    logged_step: int = 0
    keep_weights: bool = True
    leaks: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    control: Control | None = None


def distil(context: Context, job: DistillationJob) -> None:
    """Run ``job`` to its end; the last report says ``complete`` and comes after all of the trial's files are written.

    Raises ``FloatingPointError`` where the loss is not finite.
    """
    trial = trial_from_dict(job.config)
    torch.manual_seed(job.seed)
    origin = Checkpoint.open(job.init)
    student = origin.load()
    adapt(student, trial.student)
    stream = _stream(job, trial, student.pad)
    state = _state(context, job, trial, student)
    evaluator = Evaluator(job.scoring.collections, job.scoring.metrics, job.scoring.documents, job.teacher)
    rows: Rows = []
    restored = context.restore()
    if restored is not None:
        rows = load_state(restored, state)
    resumed_from, sent = state.step, job.logged_step

    def report(*, complete: bool) -> None:
        nonlocal sent
        fresh = [row for row in rows if row["step"] > sent]
        sent = state.step
        objective = next((row[job.objective] for row in reversed(rows) if job.objective in row), 0.0)
        metrics = {"step": state.step, "key": job.key, "rows": fresh, "resumed_from": resumed_from}
        metrics |= {"objective": objective, "complete": complete}
        context.report(metrics, None if complete else lambda folder: save_state(folder, state, rows))

    steps = trial.optimizer.steps
    while state.step < steps:
        rows.append(_timed_step(context, state, stream))
        scored = state.step % job.every == 0
        if scored and state.step < steps:
            rows[-1] |= _flat(evaluator.means(student, "eval", context.rank, context.num_workers))
        if state.step < steps and (scored or state.step % job.checkpoint_every == 0):
            report(complete=False)
    settle(student)
    evaluation = evaluator.evaluate(student, ("eval", "test"), context.rank, context.num_workers)
    if rows and rows[-1]["step"] == steps:
        rows[-1] |= _flat(means(evaluation)["eval"])
    if context.leads:
        _write(job, student, origin, evaluation)
        if job.control is not None:  # nobody keeps a ledger of it
            (job.folder / "metrics.jsonl").unlink(missing_ok=True)
            append_jsonl(job.folder / "metrics.jsonl", rows)
    report(complete=True)


def _stream(job: DistillationJob, trial: TrialConfig, pad: int) -> PairStream:
    languages = tables_of(trial, job.tokens, job.leaks)
    embeddings = None if job.embeddings is None else TeacherEmbeddings(job.embeddings)
    teacher_pad = Checkpoint.open(job.teacher).tokenizer().pad
    mixture: Mixture = mixture_of(trial, {name: table.lengths() for name, table in languages.items()}, job.seed)
    return PairStream(mixture, languages, embeddings, pad, teacher_pad, job.control, with_idf=reads_idf(trial))


def _state(context: Context, job: DistillationJob, trial: TrialConfig, student: TokenEncoder) -> TrainState:
    objective = Distillation(
        student,
        trial.loss,
        anchor_weight=trial.anchor.weight,
        same_pieces=job.same_pieces,
        autocast=autocast_dtype(trial.student),
        teacher=Checkpoint.open(job.teacher).load() if job.embeddings is None else None,
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
    """One step and its row for the ledger."""
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
    """``metric -> target -> value`` as ``metric/target``, with ``metric/mean``."""
    flat = {f"{metric}/{target}": value for metric, by in means.items() for target, value in by.items()}
    flat |= {f"{metric}/mean": sum(by.values()) / len(by) for metric, by in means.items() if by}
    return flat


def _write(job: DistillationJob, student: TokenEncoder, origin: Checkpoint, evaluation: Evaluation) -> None:
    """The weights, then the scores: their presence means that all is there."""
    if job.keep_weights:
        lengths = {"query_length": origin.query_length, "document_length": origin.document_length}
        save(job.folder / "student", student, origin.tokenizer(), **lengths)
    write_evaluation(job.folder, evaluation)
