"""The verb ``data``: what a study's data is made of."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from optical_ray.cli.options import AsJson, Settings, Spec, Storage

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from optical_ray.prepare.statistics import BitextCounts, CollectionCounts, PieceCounts, RelevanceCounts


def command(
    spec: Spec,
    storage: Storage = "runs",
    set_: Settings = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option
) -> None:
    """Show the counts of SPEC's data: pairs, subwords per word, leaks, topics, the AP of a random ranking."""
    from rich.console import Console

    from optical_ray.cli.screen.terminal import console
    from optical_ray.config.load import load
    from optical_ray.prepare.statistics import data_counts
    from optical_ray.prepare.text import prepare_text
    from optical_ray.report.data_lines import leak_lines
    from optical_ray.sweep.study import check_storage

    experiment = load(spec, set_ or [])
    screen, errors = console(), Console(stderr=True, highlight=False)
    preparation = prepare_text(experiment, check_storage(storage), lambda stage: errors.print(stage, style="dim"))
    counts, leaks = data_counts(experiment, preparation), preparation.report["leaks"]
    if as_json:
        print(json.dumps({**asdict(counts), "leaks": leaks}, ensure_ascii=False, indent=1))
        return
    screen.print(_bitext_table(counts.bitext))
    _print_dropped(screen, [(f"{row.dataset} {row.language}", row.dropped) for row in counts.bitext])
    for line in leak_lines(leaks, experiment.trial.data.leaks):
        screen.print(line, soft_wrap=True, markup=False)
    screen.print()
    if counts.relevance:
        screen.print(_relevance_table(counts.relevance))
        screen.print("[note]what the teacher is trained on[/note]")
        _print_dropped(screen, [(row.dataset, row.dropped) for row in counts.relevance])
        screen.print()
    screen.print(_collection_table(counts.collections))
    _print_dropped(screen, [(f"{row.target} {row.split}", row.dropped) for row in counts.collections])
    screen.print("[note]random AP: the AP of a ranking in random order[/note]\n")
    screen.print(_document_table(counts.collections))
    screen.print(
        "[note]length, pieces/word and unknown count the student's subwords, of the foreign side of the[/note]"
    )
    screen.print(
        "[note]bitext, of all topics and of all documents; truncated texts are not part of pieces/word[/note]\n"
    )
    for name, licence in preparation.licences.items():
        screen.print(f"{name}: {licence}", soft_wrap=True, markup=False)


def _bitext_table(rows: list[BitextCounts]) -> Table:
    right = ("pairs", "pieces", "length", "pieces/word", "unknown", "duplicates", "leaks", "cut")
    table = _table("bitext", ("dataset", "language"), right)
    for row in rows:
        numbers = (f"{row.duplicates:,}", f"{row.leaks:,}", f"{row.truncated:,}")
        table.add_row(
            row.dataset, row.language, f"{row.pairs:,}", f"{row.pieces.tokens:,}", *_piece_cells(row.pieces), *numbers
        )
    return table


def _collection_table(rows: list[CollectionCounts]) -> Table:
    right = ("topics", "documents", "judged", "relevant/topic", "length", "pieces/word", "unknown", "random AP")
    table = _table("collections", ("target", "split"), right)
    for row in rows:
        sizes = (f"{row.topics:,}", f"{row.documents:,}", f"{row.judged:,}", f"{row.relevant:.1f}")
        table.add_row(row.target, row.split, *sizes, *_piece_cells(row.pieces), f"{row.random_ap:.4f}")
    return table


def _relevance_table(rows: list[RelevanceCounts]) -> Table:
    table = _table("relevance", ("dataset", "licence"), ("pairs",))
    for row in rows:
        table.add_row(row.dataset, row.licence, f"{row.pairs:,}")
    return table


def _document_table(rows: list[CollectionCounts]) -> Table:
    right = ("documents", "pieces", "length", "pieces/word", "unknown", "cut")
    table = _table("documents", ("target", "split"), right)
    for row in rows:
        pieces = row.document_pieces
        sizes = (f"{row.documents:,}", f"{pieces.tokens:,}")
        table.add_row(row.target, row.split, *sizes, *_piece_cells(pieces), f"{row.truncated:,}")
    return table


def _print_dropped(screen: Console, rows: list[tuple[str, dict[str, int]]]) -> None:
    for name, dropped in rows:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items() if count)
        if counts:
            screen.print(f"dropped from {name}: {counts}", soft_wrap=True, markup=False, style="note")


def _table(title: str, left: tuple[str, ...], right: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="head", box=None, pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _piece_cells(pieces: PieceCounts) -> tuple[str, str, str]:
    return f"{pieces.mean_length:.1f}", f"{pieces.fertility:.2f}", f"{100 * pieces.unknown:.2f}%"
