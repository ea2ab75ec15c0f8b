"""The chapters on settings and luck: curves over epsilon, controls, variance shares, rank stability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optical_ray.analysis.curves import EPSILON, Curve, curve, is_log, levels, varied_numbers
from optical_ray.analysis.effects import Comparison, Matrix, compare
from optical_ray.analysis.figures import BLUE, COLOURS, Line, horizontal, layout, lines, rounded
from optical_ray.analysis.page import Figure, Section, Spec
from optical_ray.analysis.significance import CONDITIONAL
from optical_ray.analysis.study import ENGLISH_ONLY, Study, baseline_name, nan_mean
from optical_ray.analysis.tables import Column, Table, Value
from optical_ray.analysis.variance import Decomposition, decompose, stability

CONTROLS = ("en", "shuffled")


def parameter_name(path: str) -> str:
    """``loss.solver.epsilon`` -> ``epsilon``."""
    return path.rsplit(".", 1)[-1]


def settings_section(study: Study) -> Section | None:
    """The score against every searched number; ``None`` where no number was searched."""
    names = varied_numbers(study)
    if not names:
        return None
    figures: list[Figure] = []
    rows: list[tuple[Value, ...]] = []
    balanced = False
    for name in names:
        for target in study.targets:
            found = curve(study, name, target)
            if found is None:
                figures.append(_points(study, name, target))
                continue
            balanced = True
            figures.append(_curve(study, found))
            rows += [
                (
                    parameter_name(name),
                    target,
                    float(x),
                    float(y),
                    float(low),
                    float(high),
                    len(found.sets),
                    found.num_seeds,
                )
                for x, y, low, high in zip(found.x, found.y, found.low, found.high, strict=True)
            ]
    text = []
    if balanced:
        text.append(
            "The line is the mean over the source sets that were trained at every value, with the two-level 95 % "
            "interval of its gain over English-only; grey lines are single source sets; dotted: English-only."
        )
    if any(curve(study, name, target) is None for name in names for target in study.targets):
        text.append(
            "Where no two values share a source set there is no curve: points are configurations, and sets differ."
        )
    columns = (
        Column("parameter", "Parameter"), Column("target", "Target"), Column("value", "value", 4),
        Column("mean", study.measure, 3), Column("ci_low", "CI low", 3), Column("ci_high", "CI high", 3),
        Column("source_sets", "source sets", 0), Column("seeds", "seeds", 0),
    )  # fmt: skip
    caption = f"{study.measure} against searched numbers: test split, mean over source sets, 95 % intervals."
    folded = (Table("settings", caption, columns, tuple(rows)),) if rows else ()
    return Section("settings", "Epsilon and other numbers", tuple(text), figures=tuple(figures), folded=folded)


def _curve(study: Study, found: Curve) -> Figure:
    drawn = [Line(label, found.x, values, faint=True) for label, values in zip(found.sets, found.per_set, strict=True)]
    drawn.append(Line("mean over source sets", found.x, found.y, found.low, found.high))
    name = parameter_name(found.parameter)
    spec = lines(drawn, name, study.measure, log=found.log, level=found.baseline)
    spec["layout"]["xaxis"].update(tickvals=found.x.tolist(), ticktext=[f"{value:g}" for value in found.x])
    seeds = "one seed" if found.num_seeds == 1 else f"{found.num_seeds} seeds"
    caption = f"Test split, {len(study.test(found.target).topics)} topics, {seeds}, {len(found.sets)} source sets."
    return Figure(f"curve-{name}-{found.target}", f"{found.target}: {study.measure} against {name}", caption, spec)


def _points(study: Study, parameter: str, target: str) -> Figure:
    panel = study.test(target)
    means = panel.means
    data = []
    groups: dict[int, list[int]] = {}
    for index, system in enumerate(study.systems):
        if parameter in system.params and not np.isnan(means[index]):
            groups.setdefault(len(system.sources), []).append(index)
    for place, (size, members) in enumerate(sorted(groups.items())):
        data.append(
            {"type": "scatter", "mode": "markers", "name": f"{size} source{'s' if size > 1 else ''}",
             "x": rounded([float(study.systems[index].params[parameter]) for index in members], 8),
             "y": rounded(means[members]), "text": [study.systems[index].label for index in members],
             "marker": {"size": 9, "color": COLOURS[place % len(COLOURS)]},
             "hovertemplate": "%{text}<br>%{x:.4g}: %{y:.4f}<extra></extra>"}
        )  # fmt: skip
    name = parameter_name(parameter)
    log = is_log(levels(study, parameter))
    base = float(nan_mean(panel.baselines[ENGLISH_ONLY], axis=0))
    spec: Spec = {
        "data": data,
        "layout": layout(
            name,
            study.measure,
            showlegend=len(data) > 1,
            shapes=[horizontal(base)],
            xaxis={"type": "log" if log else "linear"},
        ),
    }
    caption = (
        f"Test split, {len(panel.topics)} topics; a point a configuration (mean over its seeds); dotted: English-only."
    )
    return Figure(f"points-{name}-{target}", f"{target}: {study.measure} against {name}", caption, spec)


def control_section(study: Study, cells: Matrix, best: Sequence[Comparison]) -> Section | None:
    """The chosen sets against the controls: is the gain more than mere training?"""
    known = [name for name in CONTROLS if any(name in study.test(target).baselines for target in study.targets)]
    if not known:
        return None
    wanted = {(item.target, item.label) for item in best}
    rows: list[tuple[Value, ...]] = []
    for name in known:
        rows += [
            (item.target, item.label, item.own, baseline_name(name), item.mean, item.baseline, item.gain,
             item.interval.low, item.interval.high, item.p, item.interval.num_topics, item.interval.num_seeds)
            for item in compare(study, cells, baseline=name, only=wanted)
        ]  # fmt: skip
    columns = (
        Column("target", "Target"), Column("source_set", "Source set"), Column("own_language", "own"),
        Column("control", "Control"), Column("mean", study.measure, 3), Column("control_mean", "control", 3),
        Column("gain", "gain", 3, sign=True), Column("ci_low", "CI low", 3, sign=True),
        Column("ci_high", "CI high", 3, sign=True), Column("p_randomisation", "p sign-flip", p=True, title=CONDITIONAL),
        Column("topics", "topics", 0), Column("seeds", "seeds", 0),
    )  # fmt: skip
    caption = (
        f"Chosen source sets against the controls: test split, p of the sign-flip test, not adjusted, {CONDITIONAL}; "
        "a control is the mean of as many students as the study has seeds."
    )
    text = (
        "A student that reads English onto itself, or pairs that were shuffled, is trained as long as the others and "
        "learns no translation. What is left of a gain against them is owed to the source languages.",
    )
    return Section("controls", "Against the controls", text, tables=(Table("controls", caption, columns, tuple(rows)),))


def variance_section(study: Study) -> Section | None:
    """Shares of variance and rank stability; ``None`` where there is a single run."""
    found = decompose(study)
    steady = stability(study)
    if found is None:
        return None
    text = [
        "Shares of the total sum of squares of per-topic test scores; a share is not corrected for noise, so sources "
        "with many degrees of freedom catch some.",
    ]
    if not found.balanced:
        text.append(
            "The design is not balanced: sources are fitted in the order shown, and what two of them share goes to "
            "the first."
        )
    if len(study.seeds) == 1:
        text.append("One seed: luck cannot be told from configuration.")
    columns = (Column("source", "Source"), Column("share", "share of sum of squares", 4), Column("freedom", "d.f.", 0))
    rows = tuple((item.name, item.share, item.freedom) for item in found.components)
    caption = (
        f"Variance shares: test split, {found.num_runs} runs × {len(study.targets)} targets, targets weigh equally."
    )
    tables = [Table("variance", caption, columns, rows)]
    if steady:
        tables.append(_stability_table(study))
    return Section("variance", "Where the variance lies", tuple(text), figures=(_shares(found),), tables=tuple(tables))


def _shares(found: Decomposition) -> Figure:
    items = [item for item in found.components if item.name not in ("topic", "target", "topic × system")]
    big = {item.name: item.share for item in found.components}
    data = [
        {"type": "bar", "orientation": "h", "x": rounded([item.share for item in items][::-1]),
         "y": [item.name for item in items][::-1], "marker": {"color": BLUE},
         "hovertemplate": "%{y}: %{x:.4f}<extra></extra>"}
    ]  # fmt: skip
    rest = ", ".join(f"{name} {big[name]:.1%}" for name in ("topic", "target", "topic × system") if name in big)
    caption = f"Test split, {found.num_runs} runs. Not drawn because they dwarf the rest: {rest}."
    spec = {"data": data, "layout": layout("share of sum of squares", "", height=110 + 30 * len(items))}
    return Figure("variance", "What a choice moves", caption, spec, wide=True)


def _stability_table(study: Study) -> Table:
    columns = (
        Column("target", "Target"), Column("over", "over"), Column("levels", "levels", 0),
        Column("source_sets", "source sets", 0), Column("tau_mean", "mean τ", 2, sign=True),
        Column("tau_lowest", "lowest τ", 2, sign=True),
    )  # fmt: skip
    rows = tuple(
        (item.target, item.over, item.num_levels, item.num_sets, item.mean, item.lowest) for item in stability(study)
    )
    caption = (
        "Rank stability of source sets: Kendall's τ between every two levels, test split; 1 means the same order, 0 "
        "none."
    )
    return Table("stability", caption, columns, rows)


def epsilon_curves(study: Study) -> list[Curve]:
    """The balanced epsilon curves, for the static picture."""
    return [found for target in study.targets if (found := curve(study, EPSILON, target)) is not None]
