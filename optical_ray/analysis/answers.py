"""The first chapters of a report: the sentences, the matrix, and the evidence for each of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev

import numpy as np

from optical_ray.analysis.effects import Comparison, Matrix
from optical_ray.analysis.figures import forest
from optical_ray.analysis.headlines import Headline, signed
from optical_ray.analysis.methods import regret_table
from optical_ray.analysis.other_metrics import other_metrics
from optical_ray.analysis.page import Card, HeatCell, HeatRow, HeatTable, Section
from optical_ray.analysis.significance import CONDITIONAL
from optical_ray.analysis.study import BASELINE_NAMES, FloatArray, Study, baseline_name, nan_mean
from optical_ray.analysis.tables import Column, Table, Value
from optical_ray.study.records import Ledger, read_scores


def answer_section(study: Study, lines: Sequence[Headline]) -> Section:
    """The headlines as cards."""
    cards = tuple(_card(study, line) for line in lines)
    return Section(
        "answers",
        "The answer",
        (
            "One sentence per target. Source sets are chosen on the eval split and reported on the test split; gains "
            f"are over English-only, the same student before distillation. Every p is {CONDITIONAL}.",
        ),
        cards=cards,
    )


def _card(study: Study, line: Headline) -> Card:
    item = line.comparison
    if item.robust:
        tone, badge = "sure", "significant, also across seeds"
    elif item.significant:
        tone, badge = "seeds", "significant for these seeds" if item.interval.across_seeds else "significant, one seed"
    else:
        tone, badge = "flat", "not significant"
    if item.own:
        badge += " · supervision"
    figure = f"{signed(item.gain)} {study.measure} [{signed(item.interval.low)}, {signed(item.interval.high)}]"
    return Card(item.target, item.label, figure, line.line, badge, tone)


def matrix_section(study: Study, cells: Matrix, family: Sequence[Comparison], ledger: Ledger) -> tuple[Section, Table]:
    """The source set x target matrix for readers, and the same as a table for files; other metrics beside it."""
    by_cell = {(item.target, item.label): item for item in family}
    scale = max((abs(item.gain) for item in family), default=0.0) or 1.0
    best = [cells.best(column) for column in range(len(cells.targets))]
    ranks = cells.mean_ranks()
    rows = [_baseline_row(study, name) for name in _baselines(study)]
    for row, label in enumerate(cells.labels):
        shown = [
            _cell(by_cell.get((target, label)), cells, row, column, scale, best=best[column] == row)
            for column, target in enumerate(cells.targets)
        ]
        shown.append(_plain(cells.test[row].mean(), 3))
        shown.append(_plain(ranks[row], 1))
        rows.append(HeatRow(label, tuple(shown)))
    counts = ", ".join(f"{target} {len(study.test(target).topics)}" for target in cells.targets)
    seeds = _seed_words(cells)
    caption = (
        f"{study.measure} of each source set on each target: test split, topics: {counts}; {seeds}. Marks: Holm over "
        f"all {len(family)} cells against English-only, {CONDITIONAL}."
    )
    legend = (
        "underlined: chosen on eval",
        "* Holm p < .05",
        "** Holm p < .05 with seeds as a level too",
        "hatched: the target's own language is a source (supervision)",
        "blue gains, orange losses against English-only",
        "small: sd over seeds",
    )
    columns = ("source set", *cells.targets, "mean", "mean rank")
    where = (
        f"In a column a cell is the configuration of that source set with the best eval {study.measure} on that target."
    )
    section = Section(
        "matrix",
        "Source sets × targets",
        (where,),
        heat=HeatTable(columns, tuple(rows), caption, legend),
        folded=(regret_table(study, cells), *other_metrics(study, cells, ledger)),
    )
    return section, _matrix_table(cells, study, caption, ranks)


def _seed_words(cells: Matrix) -> str:
    counts = sorted(set(cells.num_seeds[cells.num_seeds > 0].tolist()))
    if counts == [1]:
        return "one seed, so nothing is said across seeds"
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
    there = bool(np.isfinite(value))
    return HeatCell(f"{value:.{digits}f}" if there else "–", float(value) if there else None)


def _cell(item: Comparison | None, cells: Matrix, row: int, column: int, scale: float, *, best: bool) -> HeatCell:
    if item is None:
        return HeatCell("–", None, own=bool(cells.own[row, column]))
    hint = (
        f"{signed(item.gain)} over English-only, 95 % CI [{signed(item.interval.low)}, {signed(item.interval.high)}] "
        f"{item.interval.scope}; p_Holm {item.p_holm:.4f}, {CONDITIONAL}; {item.interval.num_topics} test topics, "
        f"{item.interval.num_seeds} seed{'s' if item.interval.across_seeds else ''}"
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
    columns = [Column("source_set", "Source set")]
    for target in cells.targets:
        columns += [Column(target, target, 3), Column(f"{target}_seed_sd", "sd", 3)]
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
    """Of a control's students, one for each seed; ``None`` for baselines that have no seeds."""
    folders = sorted((study.folder / "baselines" / name).glob("seed-*/scores.json"))
    scores = [read_scores(path.parent).get("test", {}).get(study.metric, {}).get(target) for path in folders]
    known = [score for score in scores if score is not None]
    return stdev(known) if len(known) > 1 else None


def evidence_section(
    study: Study, cells: Matrix, family: Sequence[Comparison], headlines: Sequence[Headline]
) -> Section:
    """A forest plot per target and the table of all tests."""
    figures = tuple(forest(target, family, study.measure) for target in cells.targets if _any(family, target))
    not_sure = [item for item in family if not item.significant]
    text = [
        f"The declared family: {len(family)} tests, every source set on every target against English-only, on the "
        "test split. Paired sign-flip randomisation over topics, adjusted by Holm (Benjamini-Hochberg beside it); "
        f"all p are {CONDITIONAL}.",
        _interval_words(family),
    ]
    if not_sure:
        text.append(
            f"{len(not_sure)} of {len(family)} are not significant; beside each stands the difference that this many "
            "topics would have shown with power 0.8 (2.8 sd / √topics): absence of evidence below it is no evidence "
            "of absence."
        )
    selection = _selection_table(study, headlines)
    if selection.rows:
        text.append(
            "Choosing on eval guards against luck of topics, not of seeds: a student that was lucky is lucky on both "
            "splits. So each choice is made again without the seed it is judged on; where the cross-fitted gain is "
            "much smaller, the headline is flattered."
        )
    tables = (comparison_table(study, family), *([selection] if selection.rows else []))
    return Section("evidence", "Evidence", tuple(text), figures=figures, tables=tables)


def _selection_table(study: Study, headlines: Sequence[Headline]) -> Table:
    columns = (
        Column("target", "Target"), Column("source_set", "Chosen set"), Column("own_language", "own"),
        Column("gain", "gain", 3, sign=True), Column("cross_fitted_gain", "cross-fitted gain", 3, sign=True),
        Column("picks", "Chosen when a seed is left out", wrap=True),
    )  # fmt: skip
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            line.target,
            line.comparison.label,
            line.comparison.own,
            line.comparison.gain,
            line.selection.gain,
            ", ".join(line.selection.picks),
        )
        for line in headlines
        if line.selection is not None
    )
    caption = (
        f"Luck of the seeds in the choice: gain in {study.measure} over English-only as reported, and with the set "
        "chosen on eval without the seed it is judged on; test split, averaged over seeds."
    )
    return Table("selection", caption, columns, rows)


def _any(family: Sequence[Comparison], target: str) -> bool:
    return any(item.target == target for item in family)


def _interval_words(family: Sequence[Comparison]) -> str:
    if any(item.interval.across_seeds for item in family):
        return (
            "The interval that counts is the two-level one: it speaks of other topics and of training again, with a "
            "t quantile on seeds − 1 degrees of freedom for the part that seeds bring. Its p (seeds as a level, "
            "given the shared teacher) is adjusted by Holm over the same family. The bootstrap over topics and seeds "
            "is shown for comparison; with few seeds it is too narrow."
        )
    return (
        "One seed was trained: the intervals speak of other topics for this very student and nothing is claimed "
        "across seeds. Set search.seeds to 3 or more for that."
    )


def comparison_table(study: Study, family: Sequence[Comparison], name: str = "comparisons") -> Table:
    """All tests of a family with everything that a reviewer asks for."""
    columns = (
        Column("target", "Target"),
        Column("source_set", "Source set"),
        Column("own_language", "own", title="the target's own language is among the sources: supervision"),
        Column("mean", study.measure, 3),
        Column("gain", "gain", 3, sign=True),
        Column("ci_low", "CI low", 3, sign=True),
        Column("ci_high", "CI high", 3, sign=True),
        Column("ci_scope", "CI over"),
        Column("p_holm", "p Holm", p=True, title=CONDITIONAL),
        Column("p_seeds_holm", "p Holm, seeds", p=True, title="seeds as a level; given the shared teacher"),
        Column("p_bh", "p BH", p=True, title=CONDITIONAL),
        Column("p_randomisation", "p sign-flip", p=True, title=CONDITIONAL),
        Column("p_t", "p t-test", p=True, title=CONDITIONAL),
        Column("detectable", "min. detectable", 3),
        Column("d_z", "d_z", 2, sign=True),
        Column("improved", "improved", 2, title="share of topics with a higher score"),
        Column("hurt", "hurt", 2, title="share of topics with a lower score"),
        Column("seed_sd", "seed sd", 3),
        Column("bootstrap_low", "boot. low", 3, sign=True),
        Column("bootstrap_high", "boot. high", 3, sign=True),
        Column("topics", "topics", 0),
        Column("seeds", "seeds", 0),
    )
    rows = tuple(
        (
            item.target, item.label, item.own, item.mean, item.gain, item.interval.low, item.interval.high,
            "topics, seeds" if item.interval.across_seeds else "topics", item.p_holm,
            item.p_seeds_holm, item.p_bh, item.p, item.p_t,
            item.effect.detectable, item.effect.d_z, item.effect.improved, item.effect.hurt, item.interval.seed_sd,
            *item.bootstrap, item.interval.num_topics, item.interval.num_seeds,
        )
        for item in family
    )  # fmt: skip
    caption = (
        f"Every source set on every target against English-only: test split, {len(family)} tests in one family "
        f"(Holm), all p {CONDITIONAL}."
    )
    return Table(name, caption, columns, rows)
