"""The chapter on searched numbers: curves over epsilon and the like."""

from __future__ import annotations

import numpy as np

from optical_ray.report.curves import EPSILON, Curve, curve, is_log, levels, varied_numbers
from optical_ray.report.figures import COLOURS, Line, horizontal, layout, lines, rounded
from optical_ray.report.page import Figure, Section, Spec
from optical_ray.report.study import Study
from optical_ray.report.tables import Column, Table, Value
from optical_ray.statistics.arrays import nan_mean
from optical_ray.study.layout import UNDISTILLED


def parameter_name(path: str) -> str:
    """Return the last part of a dotted path.

    >>> parameter_name("loss.solver.epsilon")
    'epsilon'
    """
    return path.rsplit(".", 1)[-1]


def settings_section(study: Study) -> Section | None:
    """Return the score against every searched number; None if no number was searched."""
    names = varied_numbers(study)
    if not names:
        return None
    known = [(name, target, curve(study, name, target)) for name in names for target in study.targets]
    curves = [item for _, _, item in known if item is not None]
    figures = [_points(study, name, target) if item is None else _curve(study, item) for name, target, item in known]
    text = []
    if curves:
        text.append(
            "The line is the mean over the source sets that were trained at every value, with the two-level 95 % "
            "interval of its gain over English-only; grey lines are single source sets; dotted: English-only."
        )
    left_out = sorted({label for item in curves for label in item.left_out})
    if left_out:
        text.append(
            f"Left out of the curves because a seed is missing at some value: "
            f"{', '.join(study.set_labels[label] for label in left_out)}."
        )
    if len(curves) < len(known):
        text.append(
            "If no two values share a source set there is no curve: points are configurations, and their sets differ."
        )
    folded = (_table(study, curves),) if curves else ()
    return Section("settings", "Epsilon and other numbers", tuple(text), figures=tuple(figures), folded=folded)


def _table(study: Study, curves: list[Curve]) -> Table:
    columns = (
        Column("parameter", "Parameter"), Column("target", "Target", names=study.target_labels),
        Column("value", "value", 4), Column("mean", study.measure, 3), Column("ci_low", "CI low", 3),
        Column("ci_high", "CI high", 3), Column("source_sets", "source sets", 0), Column("seeds", "seeds", 0),
    )  # fmt: skip
    rows: list[tuple[Value, ...]] = [
        (parameter_name(item.parameter), item.target, float(x), float(y), float(low), float(high), len(item.sets),
         item.num_seeds)
        for item in curves
        for x, y, low, high in zip(item.x, item.y, item.low, item.high, strict=True)
    ]  # fmt: skip
    caption = f"{study.measure} against searched numbers: test split, mean over source sets, 95 % intervals."
    return Table("settings", caption, columns, tuple(rows))


def _curve(study: Study, item: Curve) -> Figure:
    drawn = [
        Line(study.set_labels[label], item.x, values, faint=True)
        for label, values in zip(item.sets, item.per_set, strict=True)
    ]
    drawn.append(Line("mean over source sets", item.x, item.y, item.low, item.high))
    name = parameter_name(item.parameter)
    spec = lines(drawn, name, study.measure, log=item.log, level=item.baseline)
    spec["layout"]["xaxis"].update(tickvals=item.x.tolist(), ticktext=[f"{value:g}" for value in item.x])
    seeds = "one seed" if item.num_seeds == 1 else f"{item.num_seeds} seeds"
    caption = f"Test split, {study.test(item.target).size}, {seeds}, {len(item.sets)} source sets."
    title = f"{study.target_labels[item.target]}: {study.measure} against {name}"
    return Figure(f"curve-{name}-{item.target}", title, caption, spec)


def _points(study: Study, parameter: str, target: str) -> Figure:
    panel = study.test(target)
    means = panel.means
    data = []
    by_size: dict[int, list[int]] = {}
    for index, system in enumerate(study.systems):
        if parameter in system.params and not np.isnan(means[index]):
            by_size.setdefault(len(system.sources), []).append(index)
    for position, (size, members) in enumerate(sorted(by_size.items())):
        data.append(
            {"type": "scatter", "mode": "markers", "name": f"{size} source{'s' if size > 1 else ''}",
             "x": rounded([float(study.systems[index].params[parameter]) for index in members], 8),
             "y": rounded(means[members]), "text": [study.set_labels[study.systems[i].label] for i in members],
             "marker": {"size": 9, "color": COLOURS[position % len(COLOURS)]},
             "hovertemplate": "%{text}<br>%{x:.4g}: %{y:.4f}<extra></extra>"}
        )  # fmt: skip
    name = parameter_name(parameter)
    axis = {"type": "log" if is_log(levels(study, parameter)) else "linear"}
    base = float(nan_mean(panel.baselines[UNDISTILLED], axis=0))
    shapes = [horizontal(base)]
    spec: Spec = {
        "data": data,
        "layout": layout(name, study.measure, showlegend=len(data) > 1, shapes=shapes, xaxis=axis),
    }
    caption = f"Test split, {panel.size}; each point is a configuration (mean over seeds); dotted: English-only."
    title = f"{study.target_labels[target]}: {study.measure} against {name}"
    return Figure(f"points-{name}-{target}", title, caption, spec)


def epsilon_curves(study: Study) -> list[Curve]:
    """Return the balanced epsilon curves, for the static image."""
    curves = [curve(study, EPSILON, target) for target in study.targets]
    return [item for item in curves if item is not None]
