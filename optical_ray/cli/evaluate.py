"""The verb ``evaluate``: score one student on collections, without a study and without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    checkpoint: Annotated[Path, typer.Argument(help="A student's folder.", show_default=False)],
    collection: Annotated[
        Path, typer.Option(help="YAML: one collection ({kind: ...}), or a study's spec.", show_default=False)
    ],
    split: Annotated[str, typer.Option(help="eval or test.")] = "test",
    metrics: Annotated[str, typer.Option(help="Names, separated by commas.")] = "AP,nDCG@20,RR,P@10,R@100",
    out: Annotated[Path, typer.Option(help="Folder for runs and per-query scores.")] = Path("evaluation"),
) -> None:
    """Rank a collection with a student: TREC run, metrics, per-query scores."""
    from rich.table import Table

    from optical_ray.cli.screen.terminal import console
    from optical_ray.config.collections import read_collections
    from optical_ray.evaluate import means, write_evaluation
    from optical_ray.metrics.scores import parse
    from optical_ray.prepare.evaluation import evaluate_checkpoint
    from optical_ray.study.layout import SPLITS
    from optical_ray.types import InputError

    if split not in SPLITS:
        raise InputError(f"--split: unknown split (got {split}, expected {' or '.join(SPLITS)})")
    names = [parse(name.strip()).name for name in metrics.split(",")]
    evaluation = evaluate_checkpoint(checkpoint, read_collections(collection), split, names)
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
