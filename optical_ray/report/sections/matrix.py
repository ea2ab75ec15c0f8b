"""The chapter with the source set x target matrix, the regrets and the other metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optical_ray.report.comparisons import Comparison
from optical_ray.report.headlines import interval_text
from optical_ray.report.matrix import Matrix
from optical_ray.report.page import HeatCell, HeatRow, HeatTable, Section
from optical_ray.report.study import BASELINE_NAMES, TEST, Study, baseline_name, plural
from optical_ray.report.tables import Column, Table, Value, p_value, signed
from optical_ray.statistics.arrays import FloatArray, nan_mean
from optical_ray.statistics.significance import CONDITIONAL
from optical_ray.study.layout import UNDISTILLED
from optical_ray.study.records import Ledger

LEGEND = (
    "underlined: chosen on eval",
    "* Holm p < .05",
    "** Holm p < .05 also with seeds as a level",
    "hatched: the target's own language is a source (supervision)",
    "blue: gain over English-only; orange: loss",
    "small: sd over seeds",
)


def matrix_section(study: Study, cells: Matrix, family: Sequence[Comparison], ledger: Ledger) -> tuple[Section, Table]:
    """Return the chapter, and the matrix as a table for files."""
    by_cell = {(item.target, item.label): item for item in family}
    scale = max((abs(item.gain) for item in family), default=0.0) or 1.0
    best = [cells.best(column) for column in range(len(cells.targets))]
    ranks = cells.mean_ranks()
    rows = [_baseline_row(study, name) for name in _baselines(study)]
    for row, label in enumerate(cells.labels):
        shown = [
            _cell(study, by_cell.get((target, label)), cells, row, column, scale, best=best[column] == row)
            for column, target in enumerate(cells.targets)
        ]
        shown += [_plain(cells.test[row].mean(), 3), _plain(ranks[row], 1)]
        rows.append(HeatRow(study.set_labels[label], tuple(shown)))
    sizes = "; ".join(f"{study.target_labels[target]} {study.test(target).size}" for target in cells.targets)
    caption = (
        f"{study.measure} of each source set on each target: test split: {sizes}; {_seeds(cells)}. Marks: Holm over "
        f"all {len(family)} cells against English-only, {CONDITIONAL}."
    )
    columns = ("source set", *study.target_labels.values(), "mean", "mean rank")
    text = (
        f"A cell is the configuration of the row's source set with the best eval {study.measure} on the column's "
        "target.",
    )
    section = Section(
        "matrix",
        "Source sets × targets",
        text,
        heat=HeatTable(columns, tuple(rows), caption, LEGEND),
        folded=(regret_table(study, cells), *other_metrics(study, cells, ledger)),
    )
    return section, _matrix_table(cells, study, caption, ranks)


def _seeds(cells: Matrix) -> str:
    counts = sorted(set(cells.num_seeds[cells.num_seeds > 0].tolist()))
    if counts == [1]:
        return "one seed, so no claim is made across seeds"
    return f"mean over {counts[0]} seeds" if len(counts) == 1 else f"mean over {counts[0]} to {counts[-1]} seeds"


def _baselines(study: Study) -> list[str]:
    known = {name for target in study.targets for name in study.test(target).baselines}
    return [name for name in BASELINE_NAMES if name in known] + sorted(known - set(BASELINE_NAMES))


def _baseline_row(study: Study, name: str) -> HeatRow:
    means = []
    for target in study.targets:
        values = study.test(target).baselines.get(name)
        means.append(float("nan") if values is None else float(nan_mean(values, axis=0)))
    cells = [_plain(mean, 3) for mean in means]
    return HeatRow(
        baseline_name(name), (*cells, _plain(float(np.mean(means)), 3), _plain(float("nan"), 1)), control=True
    )


def _plain(value: float, digits: int) -> HeatCell:
    finite = bool(np.isfinite(value))
    return HeatCell(f"{value:.{digits}f}" if finite else "–", float(value) if finite else None)


def _cell(
    study: Study, item: Comparison | None, cells: Matrix, row: int, column: int, scale: float, *, best: bool
) -> HeatCell:
    if item is None:
        return HeatCell("–", None, own=bool(cells.own[row, column]))
    hint = (
        f"{signed(item.gain)} over English-only, {interval_text(item)}; Holm p {p_value(item.p_holm)}; "
        f"{study.test(item.target).size}, {plural(item.interval.num_seeds, 'seed')}"
    )
    spread = cells.spread[row, column]
    return HeatCell(
        f"{item.mean:.3f}",
        item.mean,
        small=f"± {spread:.3f}" if np.isfinite(spread) else "",
        marks="**" if item.robust else "*" if item.significant else "",
        weight=round(item.gain / scale, 3),
        best=best,
        own=item.own,
        hint=hint,
    )


def _matrix_table(cells: Matrix, study: Study, caption: str, ranks: FloatArray) -> Table:
    columns = [Column("source_set", "Source set", names=study.set_labels)]
    for target in cells.targets:
        columns += [Column(target, study.target_labels[target], 3), Column(f"{target}_seed_sd", "sd", 3)]
    columns += [Column("mean", "mean", 3), Column("mean_rank", "rank", 1)]
    rows: list[tuple[Value, ...]] = []
    for name in _baselines(study):
        row: list[Value] = [baseline_name(name)]
        for target in cells.targets:
            values = study.test(target).baselines.get(name)
            row += [None if values is None else float(nan_mean(values, axis=0)), _seed_sd(study, name, target)]
        rows.append((*row, None, None))
    for index, label in enumerate(cells.labels):
        row = [label]
        for column in range(len(cells.targets)):
            row += [float(cells.test[index, column]), float(cells.spread[index, column])]
        rows.append((*row, float(cells.test[index].mean()), float(ranks[index])))
    return Table("matrix", caption, tuple(columns), tuple(rows), latex=True)


def _seed_sd(study: Study, name: str, target: str) -> float | None:
    """The sd over a control's students, one for each seed; None for baselines without seeds."""
    runs = study.test(target).control_runs.get(name)
    return float(runs.mean(axis=1).std(ddof=1)) if runs is not None and len(runs) > 1 else None


def regret_table(study: Study, cells: Matrix) -> Table:
    """Return what choosing each source set instead of the chosen one costs, per target and on average."""
    columns = (
        Column("source_set", "Source set", names=study.set_labels),
        *(Column(target, study.target_labels[target], 3, sign=True) for target in cells.targets),
        Column("mean", "mean regret", 3, sign=True),
    )
    regrets = cells.regrets()
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (label, *(float(value) for value in regrets[row]), float(regrets[row].mean()))
        for row, label in enumerate(cells.labels)
    )
    caption = (
        f"Regret: the test {study.measure} of the set chosen on eval for a target, less that of the row's set. Below "
        "zero the row is better on test than the chosen set."
    )
    return Table("regret", caption, columns, rows)


def other_metrics(study: Study, cells: Matrix, ledger: Ledger) -> tuple[Table, ...]:
    """Return the scores of the same configurations by all other metrics of the study."""
    scores = {key: ledger.scores(key).get(TEST, {}) for system in study.systems for key in system.keys}
    before = ledger.baselines().get(UNDISTILLED, {}).get(TEST, {})
    metrics = [metric for metric in before if metric != study.metric]
    if not metrics:
        return ()
    rows: list[tuple[Value, ...]] = []
    for metric in metrics:
        rows.append((metric, baseline_name(UNDISTILLED), *(before[metric].get(target) for target in cells.targets)))
        for row, label in enumerate(cells.labels):
            means: list[Value] = []
            for column, target in enumerate(cells.targets):
                chosen = int(cells.chosen[row, column])
                keys = study.systems[chosen].keys if chosen >= 0 else ()
                values = [v for key in keys if (v := scores[key].get(metric, {}).get(target)) is not None]
                means.append(float(np.mean(values)) if values else None)
            rows.append((metric, label, *means))
    columns = [Column("metric", "Metric"), Column("source_set", "Source set", names=study.set_labels)]
    columns += [Column(target, study.target_labels[target], 3) for target in cells.targets]
    caption = (
        f"Other metrics of the same configurations (chosen on eval {study.measure}): test split, means over seeds."
    )
    return (Table("metrics", caption, tuple(columns), tuple(rows)),)
