"""The chapter with the evidence: forest plots, all tests, the choice without a seed, the variance between seeds."""

from __future__ import annotations

from collections.abc import Sequence

from optical_ray.report.comparisons import Comparison
from optical_ray.report.figures import forest
from optical_ray.report.headlines import Headline
from optical_ray.report.matrix import Matrix
from optical_ray.report.page import Section
from optical_ray.report.study import Study
from optical_ray.report.tables import Column, Table, Value
from optical_ray.statistics.significance import CONDITIONAL


def evidence_section(study: Study, cells: Matrix, family: Sequence[Comparison], answers: Sequence[Headline]) -> Section:
    """Return a forest plot per target and the tables of all tests."""
    tested = [target for target in cells.targets if any(item.target == target for item in family)]
    figures = tuple(forest(study, target, family) for target in tested)
    text = [
        f"The declared family has {len(family)} tests: every source set on every target against English-only, on the "
        "test split. The test is the paired sign-flip randomisation test over topics, adjusted by Holm "
        f"(Benjamini-Hochberg is also shown); all p are {CONDITIONAL}.",
        _groups_text(study),
        _interval_text(family),
        _detectable_text(family),
    ]
    selection, seeds = _selection_table(study, answers), _seed_table(study)
    if selection.rows:
        text.append(
            "Choosing on eval guards against luck of topics, not of seeds: a lucky student is lucky on both splits. So "
            "each choice is made again without the seed it is judged on; if the cross-fitted gain is much smaller, the "
            "headline is too optimistic."
        )
    tables = (comparison_table(study, family), *(table for table in (selection, seeds) if table.rows))
    return Section(
        "evidence", "Evidence", tuple(paragraph for paragraph in text if paragraph), (), None, figures, tables
    )


def _groups_text(study: Study) -> str:
    grouped = [target for target in study.targets if study.test(target).groups is not None]
    if not grouped:
        return ""
    sizes = "; ".join(f"{study.target_labels[target]} {study.test(target).size}" for target in grouped)
    return (
        f"Topics of one group depend on each other: {sizes}. Tests flip whole groups, the bootstrap draws whole "
        "groups, and intervals use the variance between groups."
    )


def _interval_text(family: Sequence[Comparison]) -> str:
    if any(item.interval.across_seeds for item in family):
        return (
            "The two-level interval is the one that counts: it generalises over topics and over training again. The "
            "variance between seeds is pooled over all systems of a target, and its t quantile has their degrees of "
            "freedom. The p with seeds as a level (given the shared teacher) is adjusted by Holm over the same family. "
            "The bootstrap over topics and seeds is shown for comparison; with few seeds it is too narrow."
        )
    return (
        "One seed was trained: the intervals generalise over topics for these very students, and no claim is made "
        "across seeds. Set search.seeds to 3 or more for that."
    )


def _detectable_text(family: Sequence[Comparison]) -> str:
    open_questions = sum(not item.significant for item in family)
    if not open_questions:
        return ""
    return (
        f"{open_questions} of {len(family)} differences are not significant. The minimum detectable difference is the "
        f"one that the same test, corrected for {len(family)} tests, finds with power 0.8: a smaller true difference "
        "would often be missed, so absence of evidence is not evidence of absence."
    )


def _selection_table(study: Study, answers: Sequence[Headline]) -> Table:
    columns = (
        Column("target", "Target", names=study.target_labels),
        Column("source_set", "Chosen set", names=study.set_labels), Column("own_language", "own"),
        Column("gain", "gain", 3, sign=True), Column("cross_fitted_gain", "cross-fitted gain", 3, sign=True),
        Column("picks", "Chosen if a seed is left out", wrap=True),
    )  # fmt: skip
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (answer.target, answer.comparison.label, answer.comparison.own, answer.comparison.gain, answer.selection.gain,
         ", ".join(answer.selection.picks))
        for answer in answers
        if answer.selection is not None
    )  # fmt: skip
    caption = (
        f"Luck of the seeds in the choice: gain in {study.measure} over English-only as reported, and with the set "
        "chosen on eval without the seed it is judged on; test split, averaged over seeds."
    )
    return Table("selection", caption, columns, rows)


def _seed_table(study: Study) -> Table:
    columns = (
        Column("target", "Target", names=study.target_labels), Column("seed_sd", "seed sd", 4),
        Column("noise_sd", "of which topics", 4), Column("freedom", "d.f.", 0), Column("systems", "systems", 0),
        Column("brown_forsythe_p", "p Brown-Forsythe", p=True),
    )  # fmt: skip
    known = [(target, study.test(target).seed_variance) for target in study.targets]
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (target, variance.sd, variance.noise**0.5, variance.freedom, variance.num_systems, variance.equality_p)
        for target, variance in known
        if variance is not None
    )
    caption = (
        f"Variance between seeds, pooled over all systems of a target: sd of a single seed's {study.measure} on the "
        "test split. Pooling assumes one variance for all systems; a small Brown-Forsythe p speaks against it."
    )
    return Table("seeds", caption, columns, rows)


def comparison_table(study: Study, family: Sequence[Comparison], name: str = "comparisons") -> Table:
    """Return all tests of a family with their effect sizes and intervals."""
    columns = (
        Column("target", "Target", names=study.target_labels),
        Column("source_set", "Source set", names=study.set_labels),
        Column("own_language", "own", title="the target's own language is a source: supervision"),
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
        Column("detectable", "min. detectable", 3, title="by the sign-flip test at power 0.8, corrected"),
        Column("detectable_seeds", "min. detectable, seeds", 3, title="with seeds as a level, corrected"),
        Column("d_z", "d_z", 2, sign=True),
        Column("improved", "improved", 2, title="share of topics with a higher score"),
        Column("hurt", "hurt", 2, title="share of topics with a lower score"),
        Column("seed_sd", "seed sd", 3),
        Column("bootstrap_low", "boot. low", 3, sign=True),
        Column("bootstrap_high", "boot. high", 3, sign=True),
        Column("topics", "topics", 0),
        Column("groups", "groups", 0),
        Column("seeds", "seeds", 0),
    )
    rows = tuple(
        (
            item.target, item.label, item.own, item.mean, item.gain, item.interval.low, item.interval.high,
            "topics, seeds" if item.interval.across_seeds else "topics", item.p_holm,
            item.p_seeds_holm, item.p_bh, item.p, item.p_t, item.effect.detectable, item.detectable_seeds,
            item.effect.d_z, item.effect.improved, item.effect.hurt, item.interval.seed_sd, *item.bootstrap,
            item.interval.num_topics, item.interval.num_groups or None, item.interval.num_seeds,
        )
        for item in family
    )  # fmt: skip
    caption = (
        f"Every source set on every target against English-only: test split, {len(family)} tests in one family "
        f"(Holm), all p {CONDITIONAL}."
    )
    return Table(name, caption, columns, rows).without_empty("groups")
