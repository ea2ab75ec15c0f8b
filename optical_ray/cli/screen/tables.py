"""The terminal's table of scores: a row for every configuration, a column for every target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rich.table import Table
from rich.text import Text

from optical_ray.languages import collection_label, collection_language, is_supervised, set_label
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import SPLITS, UNDISTILLED
from optical_ray.study.records import Ledger, Scores, TrialRecord, TrialState
from optical_ray.study.summary import Best, best_of

SUPERVISED = "°"
BEST = "*"
SOURCES = "data.source_languages"
TEST = SPLITS[1]


def score_table(ledger: Ledger, metric: str, targets: Sequence[str]) -> Table:
    """Return the scores on the test split, averaged over seeds.

    ``*`` marks the configuration that is chosen on the eval split, ``°`` that the target's language is a source.
    """
    table = Table(
        title=f"{metric} on the test split", title_justify="left", title_style="head", box=None, pad_edge=False
    )
    collections = _collections(ledger)
    paths = [path for path in _paths(ledger) if path != SOURCES]
    table.add_column("source languages")
    for path in paths:
        table.add_column(path.rpartition(".")[2], justify="right")
    for target in targets:
        table.add_column(collection_label(collections, target))  # left-aligned, so that marks do not shift the points
    for name, scores in ledger.baselines().items():
        numbers = [_number(scores, metric, target) for target in targets]
        table.add_row(f"({name})", *([""] * len(paths)), *numbers, style="note")
    best = {target: best_of(ledger, metric, target) for target in targets}
    for records in _configurations(ledger):
        sources = records[0].source_languages
        cells = [
            _cell(
                ledger,
                records,
                metric,
                target,
                best[target],
                supervised=is_supervised(collection_language(collections, target), sources),
            )
            for target in targets
        ]
        values = [_value_text(records[0].params.get(path)) for path in paths]
        table.add_row(set_label(sources), *values, *cells)
    return table


def best_lines(ledger: Ledger, metric: str, targets: Sequence[str]) -> list[str]:
    """Return one line per target: the set chosen on eval and its test score, with and without supervision."""
    undistilled = ledger.baselines().get(UNDISTILLED, {}).get(TEST, {}).get(metric, {})
    collections = _collections(ledger)
    lines = []
    for target in targets:
        label, start = collection_label(collections, target), undistilled.get(target)
        if start is None:
            lines.append(f"{label}: -")
            continue
        parts = [f"undistilled {start:.3f}"]
        best = best_of(ledger, metric, target)
        if best is not None:
            parts.append(_best_text(ledger, "best", best, start))
            transfer = best_of(ledger, metric, target, transfer_only=True) if best.is_supervised else None
            if transfer is not None:
                parts.append(_best_text(ledger, "best transfer", transfer, start))
        lines.append(f"{label}: {'; '.join(parts)}")
    return lines


def _best_text(ledger: Ledger, name: str, best: Best, start: float) -> str:
    record = ledger.get(best.key)
    assert record is not None
    gain = f", {best.test / start:.1f}x" if start else ""
    return f"{name} {_configuration_text(record)} {best.test:.3f}{gain}"


def _configuration_text(record: TrialRecord) -> str:
    """The configuration's sources and the other searched values."""
    others = [
        f"{path.rpartition('.')[2]} {_value_text(value)}" for path, value in record.params.items() if path != SOURCES
    ]
    sources = set_label(record.source_languages)
    return f"{sources}, {', '.join(others)}:" if others else f"{sources}:"


def _collections(ledger: Ledger) -> Mapping[str, Any]:
    """The spec's collections, which define the targets' languages."""
    collections: Mapping[str, Any] = StudyInfo.read(ledger.folder).experiment.get("data", {}).get("collections") or {}
    return collections


def _configurations(ledger: Ledger) -> list[list[TrialRecord]]:
    """Complete trials by configuration (all its seeds), in the order of their sources."""
    groups: dict[str, list[TrialRecord]] = {}
    for record in ledger.records:
        if record.state is TrialState.COMPLETE:
            groups.setdefault(repr(sorted(record.params.items())), []).append(record)
    return sorted(groups.values(), key=lambda records: (len(records[0].source_languages), records[0].source_languages))


def _paths(ledger: Ledger) -> list[str]:
    return list(dict.fromkeys(path for record in ledger.records for path in record.params))


def _cell(
    ledger: Ledger, records: list[TrialRecord], metric: str, target: str, best: Best | None, *, supervised: bool
) -> Text:
    scores = [ledger.scores(record.key).get(TEST, {}).get(metric, {}).get(target) for record in records]
    known = [score for score in scores if score is not None]
    if not known:
        return Text("-")
    is_best = best is not None and best.key in {record.key for record in records}
    mark = (SUPERVISED if supervised else "") + (BEST if is_best else "")
    style = "best" if is_best else "supervised" if supervised else ""
    return Text(f"{fmean(known):.3f}{mark:<2}", style=style)


def _number(scores: Scores, metric: str, target: str) -> str:
    value = scores.get(TEST, {}).get(metric, {}).get(target)
    return "-" if value is None else f"{value:.3f}  "


def _value_text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)
