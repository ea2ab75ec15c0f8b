"""What one of several workers does: the same steps and scores as one worker alone, its results in a file.

Run as ``python -m tests.training.two_workers RANK WORLD FOLDER CHECKPOINT COLLECTION...``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from optical_ray.encoders.checkpoint import Checkpoint
from optical_ray.evaluate import Evaluator, means
from optical_ray.losses.contrastive import Contrastive
from optical_ray.losses.interface import Loss
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.losses.relevance_kl import RelevanceKL
from optical_ray.training.step import Distillation, Relevance, train_step
from tests.training.students import ENGLISH, FOREIGN, batch, encoder, ids, state_of, tokenizer

STEPS, SIZE = 5, 8
LOSSES: tuple[Loss, ...] = (OptimalTransport(), Contrastive(), RelevanceKL())


def results(rank: int, world: int, checkpoint: Path, collections: list[Path]) -> dict[str, Any]:
    """Rows of every step by loss, the mean scores of ``checkpoint``, and what is said of it when it is broken."""
    pieces = tokenizer()
    teacher = encoder(pieces)
    found: dict[str, Any] = {}

    def wrapped(objective: nn.Module) -> nn.Module:
        return objective if world == 1 else DistributedDataParallel(objective, broadcast_buffers=False)

    for loss in LOSSES:
        objective = Distillation(encoder(pieces, seed=1), loss, anchor_weight=0.5, same_pieces=True, teacher=None)
        state = state_of(objective, wrapped(objective.train()), steps=STEPS)
        found[loss.kind] = [
            train_step(state, batch(pieces, teacher, step=step, size=SIZE, rank=rank, num_workers=world))
            for step in range(STEPS)
        ]
    relevance = Relevance(encoder(pieces, seed=1), temperature=0.1, kl_weight=0.5)
    state = state_of(relevance, wrapped(relevance), steps=STEPS)
    found["relevance"] = []
    for step in range(STEPS):
        mine = [(step * SIZE + index) % len(ENGLISH) for index in range(SIZE)][rank::world]
        queries, documents = ([texts[row] for row in mine] for texts in (ENGLISH, FOREIGN))
        documents += [ENGLISH[(row + 1) % len(ENGLISH)] for row in mine]  # hard negatives, and what a judge says
        judged = torch.tensor([[2.0, row / 10] for row in mine])
        found["relevance"].append(train_step(state, ids(pieces, queries), ids(pieces, documents), judged))
    evaluator, student = Evaluator(collections, ["AP"]), Checkpoint.open(checkpoint).load()
    found["scores"] = means(evaluator.evaluate(student, ("eval", "test"), rank, world))
    with torch.no_grad():
        student.input_embeddings.weight[:] = float("nan") if rank == 0 else 0.5
    try:
        evaluator.evaluate(student, ("eval", "test"), rank, world)
    except FloatingPointError as error:
        found["broken"] = str(error)
    return found


if __name__ == "__main__":
    rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    found = results(rank, world, Path(sys.argv[4]), [Path(path) for path in sys.argv[5:]])
    dist.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(found))
