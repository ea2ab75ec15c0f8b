"""The MAP table: a row for every configuration, a column for every target."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich.table import Table
from rich.text import Text

from optical_ray.study.records import Ledger, Scores, TrialRecord, TrialState
from optical_ray.study.summary import Best, best_of

SUPERVISED = "°"
BEST = "*"


def score_table(ledger: Ledger, metric: str, targets: Sequence[str]) -> Table:
    """Scores on the test split, seeds averaged; ``*``: what the eval split chooses, ``°``: the target is a source."""
    table = Table(
        title=f"{metric} on the test split", title_justify="left", title_style="head", box=None, pad_edge=False
    )
    paths = [path for path in _paths(ledger) if path != "data.source_languages"]
    table.add_column("source languages")
    for path in paths:
        table.add_column(path.rpartition(".")[2], justify="right")
    for target in targets:
        table.add_column(target)  # numbers of one width: marks behind them do not move the points
    for name, scores in ledger.baselines().items():
        numbers = [_number(scores, metric, target) for target in targets]
        table.add_row(f"({name})", *([""] * len(paths)), *numbers, style="note")
    best = {target: best_of(ledger, metric, target) for target in targets}
    for records in _configurations(ledger):
        first = records[0]
        cells = [_cell(ledger, records, metric, target, best[target]) for target in targets]
        values = [_shown(first.params.get(path)) for path in paths]
        table.add_row("+".join(first.source_languages), *values, *cells)
    return table


def best_lines(ledger: Ledger, metric: str, targets: Sequence[str]) -> list[str]:
    """One line for each target: chosen on eval, reported on test, with and without supervision by the target itself."""
    base = ledger.baselines().get("undistilled", {}).get("test", {}).get(metric, {})
    lines = []
    for target in targets:
        start = base.get(target)
        parts = []
        for label, transfer_only in (("best", False), ("best transfer", True)):
            best = best_of(ledger, metric, target, transfer_only=transfer_only)
            if best is not None and not (transfer_only and not best_is_supervised(ledger, metric, target)):
                record = ledger.get(best.key)
                assert record is not None
                gain = f", {best.test / start:.1f}x" if start else ""
                parts.append(f"{label} {_named(record)} {best.test:.3f}{gain}")
        lines.append(f"{target}: undistilled {start:.3f}; " + "; ".join(parts) if start is not None else f"{target}: -")
    return lines


def _named(record: TrialRecord) -> str:
    """The configuration's sources, and what else the search has chosen of it."""
    others = [
        f"{path.rpartition('.')[2]} {_shown(value)}"
        for path, value in record.params.items()
        if path != "data.source_languages"
    ]
    sources = "+".join(record.source_languages)
    return f"{sources} ({', '.join(others)})" if others else sources


def best_is_supervised(ledger: Ledger, metric: str, target: str) -> bool:
    """Whether the eval split's choice for a target saw the target."""
    best = best_of(ledger, metric, target)
    return best is not None and best.is_supervised


def _configurations(ledger: Ledger) -> list[list[TrialRecord]]:
    """Complete trials, those that differ only in their seed together, in the order of the sources."""
    groups: dict[str, list[TrialRecord]] = {}
    for record in ledger.records:
        if record.state is TrialState.COMPLETE:
            groups.setdefault(repr(sorted(record.params.items())), []).append(record)
    return sorted(groups.values(), key=lambda records: (len(records[0].source_languages), records[0].source_languages))


def _paths(ledger: Ledger) -> list[str]:
    return list(dict.fromkeys(path for record in ledger.records for path in record.params))


def _cell(ledger: Ledger, records: list[TrialRecord], metric: str, target: str, best: Best | None) -> Text:
    scores = [ledger.scores(record.key).get("test", {}).get(metric, {}).get(target) for record in records]
    known = [score for score in scores if score is not None]
    if not known:
        return Text("-")
    is_best = best is not None and best.key in {record.key for record in records}
    supervised = target in records[0].source_languages
    mark = (SUPERVISED if supervised else "") + (BEST if is_best else "")
    style = "best" if is_best else "supervised" if supervised else ""
    return Text(f"{fmean(known):.3f}{mark:<2}", style=style)


def _number(scores: Scores, metric: str, target: str) -> str:
    value = scores.get("test", {}).get(metric, {}).get(target)
    return "-" if value is None else f"{value:.3f}  "


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)
