"""Builds what trials share on workers: the teacher, the student's initial weights, the teacher's embeddings of the
pivot sentences, and the scores of the undistilled student. One worker group builds whatever is not in the cache."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import tokenizers
import torch
import torch.distributed as dist
from numpy.typing import DTypeLike
from torch import Tensor

from optical_ray.config.trial import TeacherTraining
from optical_ray.data.ragged import Ragged, RaggedWriter
from optical_ray.encoders.checkpoint import Checkpoint, save
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, Role, from_backend
from optical_ray.evaluate import write_evaluation
from optical_ray.prepare.cache import is_complete, publish
from optical_ray.prepare.tokens import teacher_rows, unique_pivots
from optical_ray.ranking import encode
from optical_ray.study.files import append_jsonl
from optical_ray.study.layout import METRICS_FILE, SPLITS
from optical_ray.training.batches import pad_ids
from optical_ray.training.checkpoint import load_state, save_state
from optical_ray.training.context import Context, Rows
from optical_ray.training.inputs import Scoring
from optical_ray.training.loop import build_evaluator
from optical_ray.training.step import Relevance, TrainState, new_state, train_step

SENTENCES_AT_ONCE = 4096
REPORT_EVERY = 100


@dataclass(frozen=True)
class EncoderJob:
    """An encoder to build, and how to train it if it is a teacher that is randomly initialised.

    ``tokenizer`` is the text of a ``tokenizer.json``; ``pairs`` a cache folder with tokenized queries and documents.
    """

    config: EncoderConfig
    tokenizer: PieceTokenizerText
    folder: Path
    training: TeacherTraining | None = None
    pairs: Path | None = None


@dataclass(frozen=True)
class PieceTokenizerText:
    """A tokenizer that can be sent to another process."""

    text: str
    markers: tuple[tuple[Role, str], ...]
    expands: bool

    @classmethod
    def from_tokenizer(cls, tokenizer: PieceTokenizer) -> PieceTokenizerText:
        """Serialise ``tokenizer``."""
        return cls(tokenizer.backend.to_str(), tuple(tokenizer.marker_pieces.items()), tokenizer.expands)

    def open(self) -> PieceTokenizer:
        """Rebuild the tokenizer."""
        return from_backend(tokenizers.Tokenizer.from_str(self.text), markers=dict(self.markers), expands=self.expands)


@dataclass(frozen=True)
class ModelsJob:
    """The models that ``build_models`` builds.

    ``embeddings`` is None if they would exceed the cache's limit. ``build_id`` names temporary folders, which all
    workers of a group share and no other launcher uses.
    """

    teacher: EncoderJob
    initial_student: EncoderJob
    tokens: tuple[Path, ...]
    embeddings: Path | None
    scoring: Scoring
    undistilled: Path
    build_id: str = field(default_factory=lambda: uuid4().hex[:8])

    def temporary(self, folder: Path) -> Path:
        """Where the cache entry ``folder`` is built before it is renamed."""
        return folder.with_name(f".{folder.name}.{self.build_id}")


def build_models(context: Context, job: ModelsJob) -> None:
    """Build the models of ``job`` that are not in the cache."""
    for encoder in dict.fromkeys((job.teacher, job.initial_student)):
        if not _is_built(context, encoder.folder):
            _build_encoder(context, encoder, job.temporary(encoder.folder))
    if job.embeddings is not None and not _is_built(context, job.embeddings):
        embed_pivots(context, job.teacher.folder, job.tokens, job.embeddings, job.temporary(job.embeddings))
    student = Checkpoint.open(job.initial_student.folder).load().to(context.device)
    evaluator = build_evaluator(job.scoring, job.teacher.folder)
    evaluation = evaluator.evaluate(student, SPLITS, context.rank, context.num_workers)
    if context.is_rank_zero:
        write_evaluation(job.undistilled, evaluation)
    context.report({"stage": "done"})


def _is_built(context: Context, folder: Path) -> bool:
    """Whether the cache entry is complete, as rank 0 sees it: another launcher may complete it at any time."""
    answer = [is_complete(folder)]
    if context.num_workers > 1:
        dist.broadcast_object_list(answer, src=0)
    return answer[0]


def _build_encoder(context: Context, job: EncoderJob, temporary: Path) -> None:
    tokenizer = job.tokenizer.open()
    encoder = job.config.build(tokenizer).to(context.device)
    rows = _train(context, job, encoder) if job.training is not None else []
    if context.is_rank_zero:
        lengths = {"query_length": job.config.query_length, "document_length": job.config.document_length}
        shutil.rmtree(temporary, ignore_errors=True)
        save(temporary, encoder, tokenizer, **lengths)
        append_jsonl(temporary / METRICS_FILE, rows)
        publish(temporary, job.folder, {"steps": len(rows)})
    _barrier(context)


def _train(context: Context, job: EncoderJob, encoder: TokenEncoder) -> Rows:
    """Contrastive training of a teacher; the order of the pairs is a pure function of (seed, step)."""
    training = job.training
    assert training is not None
    assert job.pairs is not None
    examples = Examples(job.pairs, training.negatives, encoder.pad)
    objective = Relevance(encoder, training.temperature, training.kl_weight)
    state = new_state(
        objective,
        context.wrap(objective),
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup=training.warmup,
        steps=training.steps,
        clip=training.clip,
    )
    torch.manual_seed(training.seed)  # of dropout
    restored = context.restore()
    rows = load_state(restored, state) if restored is not None else []
    state.forward.train()
    while state.step < training.steps:
        chosen = _batch(len(examples), training, state.step)[context.rank :: context.num_workers]
        row = train_step(state, *(array.to(context.device) for array in examples.batch(chosen.tolist())))
        rows.append({"step": state.step, "time": time.time(), **row})
        if state.step % REPORT_EVERY == 0 and state.step < training.steps:
            _report(context, state, rows)
    encoder.eval()
    return rows


class Examples:
    """A teacher's examples on disk (files: see ``prepare.relevance``), as ``training.step.Relevance`` takes them."""

    def __init__(self, folder: Path, num_negatives: int, pad: int):
        self._queries, self._documents = Ragged.open(folder, "queries"), Ragged.open(folder, "documents")
        self._negatives = Ragged.open(folder, "negatives") if num_negatives else None
        scores = folder / "scores.npy"
        self._scores = np.load(scores, mmap_mode="r") if num_negatives and scores.is_file() else None
        self._num_negatives, self._pad = num_negatives, pad

    def __len__(self) -> int:
        return len(self._queries)

    def batch(self, rows: Sequence[int]) -> tuple[Tensor, ...]:
        """Return queries (b, M), documents (b + b n, N) and, if the examples have them, scores (b, 1 + n)."""
        documents = [self._documents[row] for row in rows]
        if self._negatives is not None:
            n = self._num_negatives
            documents += [self._negatives[row * n + index] for row in rows for index in range(n)]
        ids = pad_ids([self._queries[row] for row in rows], self._pad), pad_ids(documents, self._pad)
        return ids if self._scores is None else (*ids, torch.from_numpy(self._scores[rows]))


def _report(context: Context, state: TrainState, rows: Rows) -> None:
    context.report(
        {"stage": "teacher", "step": state.step, **_last(rows)}, lambda folder: save_state(folder, state, rows)
    )


def _last(rows: Rows) -> dict[str, Any]:
    return {"loss": rows[-1]["loss"], "accuracy": rows[-1]["accuracy"]}


def _batch(size: int, training: TeacherTraining, step: int) -> np.ndarray[Any, Any]:
    """Rows of batch ``step``; every epoch has its own random order."""
    batches = max(1, size // training.batch_size)
    epoch, index = divmod(step, batches)
    order = np.random.default_rng([training.seed, epoch]).permutation(size)
    return order[index * training.batch_size : (index + 1) * training.batch_size]


@torch.inference_mode()
def embed_pivots(context: Context, teacher: Path, tokens: tuple[Path, ...], folder: Path, temporary: Path) -> None:
    """Write the teacher's token embeddings of every pivot sentence in ``tokens``, each sentence once.

    Files: ``hashes.npy`` (sorted digests of the texts) and, in the same order, the ragged tables ``vectors`` (float16),
    ``norms`` (float32: lengths of the vectors before normalisation) and ``pieces`` (int32: token ids). Each worker
    embeds a share of the sentences into the folder ``temporary``; rank 0 joins the parts and renames it to ``folder``.
    """
    hashes, locations = unique_pivots(tokens)
    encoder = Checkpoint.open(teacher).load().to(context.device)
    parts = np.array_split(np.arange(len(hashes)), context.num_workers)
    mine = locations[parts[context.rank]]
    if context.is_rank_zero:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    _barrier(context)
    tables = {"vectors": (np.float16, (encoder.dim,)), "norms": (np.float32, ()), "pieces": (np.int32, ())}
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(RaggedWriter(temporary, f"part{context.rank}-{name}", *layout))
            for name, layout in tables.items()
        }
        rows = teacher_rows(tokens, mine)
        while block := list(islice(rows, SENTENCES_AT_ONCE)):
            ids = Ragged.from_rows([row.tolist() for row in block])
            embeddings = encode(encoder, ids)
            assert embeddings.norms is not None
            lengths = embeddings.mask.sum(dim=1).numpy()
            writers["vectors"].append_flat(embeddings.vectors[embeddings.mask].numpy(), lengths)
            writers["norms"].append_flat(embeddings.norms[embeddings.mask].numpy(), lengths)
            writers["pieces"].append(
                [row[mask[: len(row)]] for row, mask in zip(block, embeddings.mask.numpy(), strict=True)]
            )
    _barrier(context)
    if context.is_rank_zero:
        for name, layout in tables.items():
            _join_parts(temporary, context.num_workers, name, *layout)
        np.save(temporary / "hashes.npy", hashes)
        publish(temporary, folder, {"sentences": len(hashes), "dim": encoder.dim})
    _barrier(context)


def _join_parts(folder: Path, num_parts: int, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    """Write one table from the workers' parts, block by block."""
    with RaggedWriter(folder, name, dtype, shape) as writer:
        for part in range(num_parts):
            table = Ragged.open(folder, f"part{part}-{name}")
            for start in range(0, len(table), SENTENCES_AT_ONCE):
                writer.append([table[row] for row in range(start, min(start + SENTENCES_AT_ONCE, len(table)))])
    for path in folder.glob(f"part*-{name}.*"):
        path.unlink()


def _barrier(context: Context) -> None:
    if context.num_workers > 1:
        dist.barrier()
