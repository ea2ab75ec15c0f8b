"""The chapter that compares the chosen sets with the controls."""

from __future__ import annotations

from collections.abc import Sequence

from optical_ray.report.comparisons import Comparison, compare
from optical_ray.report.matrix import Matrix
from optical_ray.report.page import Section
from optical_ray.report.study import Study, baseline_name
from optical_ray.report.tables import Column, Table, Value
from optical_ray.statistics.significance import CONDITIONAL

CONTROLS = ("en", "shuffled")


def control_section(study: Study, cells: Matrix, chosen: Sequence[Comparison]) -> Section | None:
    """Return the chosen sets against the controls: is the gain more than that of any training?"""
    known = [name for name in CONTROLS if any(name in study.test(target).baselines for target in study.targets)]
    if not known:
        return None
    wanted = {(item.target, item.label) for item in chosen}
    rows: list[tuple[Value, ...]] = []
    for name in known:
        rows += [
            (item.target, item.label, item.own, baseline_name(name), item.mean, item.baseline, item.gain,
             item.interval.low, item.interval.high, item.p, item.interval.p if item.interval.across_seeds else None,
             item.interval.num_topics, item.interval.num_seeds, _num_control_seeds(study, item.target, name))
            for item in compare(study, cells, baseline=name, only=wanted)
        ]  # fmt: skip
    columns = (
        Column("target", "Target", names=study.target_labels),
        Column("source_set", "Source set", names=study.set_labels), Column("own_language", "own"),
        Column("control", "Control"), Column("mean", study.measure, 3), Column("control_mean", "control", 3),
        Column("gain", "gain", 3, sign=True), Column("ci_low", "CI low", 3, sign=True),
        Column("ci_high", "CI high", 3, sign=True), Column("p_randomisation", "p sign-flip", p=True, title=CONDITIONAL),
        Column("p_seeds", "p, seeds", p=True, title="with the seeds of both rows as a level; given the shared teacher"),
        Column("topics", "topics", 0), Column("seeds", "seeds", 0), Column("control_seeds", "control's seeds", 0),
    )  # fmt: skip
    caption = (
        f"Chosen source sets against the controls: test split, p of the sign-flip test, not adjusted, {CONDITIONAL}; "
        "a control is the mean of its students, one per seed. Intervals and p with seeds include the variance between "
        "the seeds of both rows."
    )
    text = (
        "A control's student reads English onto itself, or shuffled pairs. It is trained for as long as the others and "
        "learns no translation, so a gain over the controls comes from the source languages.",
    )
    return Section("controls", "Against the controls", text, tables=(Table("controls", caption, columns, tuple(rows)),))


def _num_control_seeds(study: Study, target: str, name: str) -> int:
    runs = study.test(target).control_runs.get(name)
    return 1 if runs is None else len(runs)
