"""The verb ``significance``: compare TREC runs of any system. Needs neither Ray nor torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS...", help="TREC runs; .gz too.", show_default=False)],
    qrels: Annotated[Path, typer.Option(help="Relevance judgements in TREC's format.", show_default=False)],
    groups: Annotated[
        Path | None, typer.Option(help="TSV with topic and group, if topics depend on each other.", show_default=False)
    ] = None,
    metric: Annotated[str, typer.Option(help="AP, nDCG@20, RR, ...")] = "AP",
    relevance_level: Annotated[int, typer.Option(help="The lowest grade that counts as relevant.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for comparisons.csv.", show_default=False)] = None,
) -> None:
    """Compare every pair of TREC runs: difference, 95 % interval, and p adjusted by Holm over all pairs."""
    from rich.table import Table

    from optical_ray.cli.screen.terminal import console
    from optical_ray.report.runs import compare_runs, write_comparisons

    pairs = compare_runs(runs, qrels, metric=metric, relevance_level=relevance_level, groups=groups)
    table = Table(box=None, pad_edge=False)
    for name in ("run", "compared with"):
        table.add_column(name)
    for name in (metric, metric, "difference", "95 % interval", "p", "p (Holm)"):
        table.add_column(name, justify="right")
    for pair in pairs:
        table.add_row(
            pair.first,
            pair.second,
            f"{pair.mean_first:.4f}",
            f"{pair.mean_second:.4f}",
            f"{pair.difference:+.4f}",
            f"[{pair.low:+.4f}, {pair.high:+.4f}]".replace("[", "\\["),
            f"{pair.p:.4g}",
            f"{pair.p_holm:.4g}",
        )
    screen = console()
    screen.print(table)
    grouped = f" in {pairs[0].num_groups} groups" if groups else ""
    screen.print(
        f"[note]paired sign-flip test over {pairs[0].num_topics} topics{grouped}, {len(pairs)} comparisons[/note]"
    )
    if out is not None:
        write_comparisons(out / "comparisons.csv", pairs)
        screen.print(f"table: {out / 'comparisons.csv'}", soft_wrap=True)
