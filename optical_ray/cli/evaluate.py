"""The verb ``evaluate``: score one student on collections, without a study and without Ray."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from optical_ray.cli.terminal import console
from optical_ray.config.collections import read_collections
from optical_ray.evaluate import means, write_evaluation
from optical_ray.metrics.scores import parse
from optical_ray.prepare.evaluation import evaluate_checkpoint
from optical_ray.study.layout import SPLITS
from optical_ray.types import InputError


def score_checkpoint(checkpoint: Path, spec: Path, split: str, metrics: list[str], out: Path) -> None:
    """Write the results of ``checkpoint`` on every collection of the YAML ``spec`` to ``out``, and print the means."""
    if split not in SPLITS:
        raise InputError(f"--split: unknown split (got {split}, expected {' or '.join(SPLITS)})")
    names = [parse(name.strip()).name for name in metrics]
    evaluation = evaluate_checkpoint(checkpoint, read_collections(spec), split, names)
    write_evaluation(out, evaluation)
    table = Table(box=None, pad_edge=False)
    table.add_column("collection")
    for name in names:
        table.add_column(name, justify="right")
    scores = means(evaluation)[split]
    for target in evaluation[split]:
        table.add_row(target, *(f"{scores[name][target]:.4f}" for name in names))
    screen = console()
    screen.print(table)
    screen.print(f"runs and per-query scores: {out}", soft_wrap=True)
