"""The verb that shows what a study's data is made of."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from optical_ray.analysis.data_lines import leak_lines
from optical_ray.cli.terminal import console
from optical_ray.config.load import load
from optical_ray.prepare.statistics import BitextCounts, CollectionCounts, PieceCounts, data_counts
from optical_ray.prepare.text import prepare_text
from optical_ray.sweep.study import check_storage


def show_data(spec: Path, storage: str, settings: list[str], *, as_json: bool) -> None:
    """Print the counts of every bitext and collection of ``spec``; what was read stays in the storage's cache."""
    experiment = load(spec, settings)
    screen, errors = console(), Console(stderr=True, highlight=False)
    text = prepare_text(experiment, check_storage(storage), lambda stage: errors.print(stage, style="dim"))
    counts = data_counts(experiment, text)
    if as_json:
        print(json.dumps({**asdict(counts), "leaks": text.report["leaks"]}, ensure_ascii=False, indent=1))
        return
    screen.print(_bitext_table(counts.bitext))
    for line in leak_lines(text.report["leaks"], experiment.trial.data.leaks):
        screen.print(line, soft_wrap=True, markup=False)
    screen.print()
    screen.print(_collection_table(counts.collections))
    screen.print("[note]length, pieces/word, unknown: of the foreign side, of topics; blanks part words[/note]")
    screen.print("[note]random AP: what a ranking in random order has[/note]\n")
    for name, licence in text.licences.items():
        screen.print(f"{name}: {licence}", soft_wrap=True, markup=False)


def _bitext_table(rows: list[BitextCounts]) -> Table:
    right = ("pairs", "pieces", "length", "pieces/word", "unknown", "duplicates", "leaks", "cut")
    table = _table("bitext", ("dataset", "language"), right)
    for row in rows:
        numbers = (f"{row.duplicates:,}", f"{row.leaks:,}", f"{row.truncated:,}")
        table.add_row(row.dataset, row.language, f"{row.pairs:,}", f"{row.pieces.tokens:,}", *_of(row.pieces), *numbers)
    return table


def _collection_table(rows: list[CollectionCounts]) -> Table:
    right = ("topics", "documents", "judged", "relevant/topic", "length", "pieces/word", "unknown", "random AP")
    table = _table("collections", ("target", "split"), right)
    for row in rows:
        sizes = (f"{row.topics:,}", f"{row.documents:,}", f"{row.judged:,}", f"{row.relevant:.1f}")
        table.add_row(row.target, row.split, *sizes, *_of(row.pieces), f"{row.random_ap:.4f}")
    return table


def _table(title: str, left: tuple[str, ...], right: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", title_style="head", box=None, pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _of(pieces: PieceCounts) -> tuple[str, str, str]:
    return f"{pieces.mean_length:.1f}", f"{pieces.fertility:.2f}", f"{100 * pieces.unknown:.2f}%"
