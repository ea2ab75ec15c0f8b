"""The score against a searched number (epsilon, bitext size), balanced over source sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optical_ray.report.averages import averages, whole_settings
from optical_ray.report.load import is_number
from optical_ray.report.study import Study
from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.intervals import two_level
from optical_ray.study.layout import UNDISTILLED

EPSILON = "loss.solver.epsilon"
MOST_LEVELS = 12
"""More values than this are a continuous search, which gives points instead of a curve."""


@dataclass(frozen=True)
class Curve:
    """The test score of one target against ``parameter``: the mean over source sets trained at every value.

    ``low`` and ``high`` are the interval of the mean's gain over English-only, drawn around the mean. ``sets`` are the
    source sets, ``per_set`` their own curves (sets x levels), ``left_out`` the sets that lack seeds.
    """

    parameter: str
    target: str
    x: FloatArray
    y: FloatArray
    low: FloatArray
    high: FloatArray
    sets: tuple[str, ...]
    per_set: FloatArray
    num_seeds: int
    baseline: float
    log: bool
    left_out: tuple[str, ...] = ()


def varied_numbers(study: Study) -> tuple[str, ...]:
    """Return the searched numbers that take more than one value, epsilon first."""
    names = sorted({name for system in study.systems for name in system.params})
    varied = []
    for name in names:
        values = {system.params.get(name) for system in study.systems if is_number(system.params.get(name))}
        if len(values) > 1:
            varied.append(name)
    return tuple(sorted(varied, key=lambda name: (name != EPSILON, name)))


def levels(study: Study, parameter: str) -> FloatArray:
    """Return the sorted values that ``parameter`` takes."""
    values = {float(system.params[parameter]) for system in study.systems if is_number(system.params.get(parameter))}
    return np.array(sorted(values))


def is_log(values: FloatArray) -> bool:
    """Return whether sorted values spread over a factor of 5 or more, which needs a logarithmic axis."""
    return bool(len(values) > 1 and values[0] > 0 and values[-1] / values[0] >= 5)


def curve(study: Study, parameter: str, target: str) -> Curve | None:
    """Return the balanced curve of ``target``; None if no two values share a source set.

    If other numbers vary too, a (set, value) pair is the mean over its configurations.
    """
    x = levels(study, parameter)
    if not 2 <= len(x) <= MOST_LEVELS:
        return None
    panel = study.test(target)
    base = panel.baselines[UNDISTILLED]
    table: dict[str, dict[float, list[int]]] = {}
    for index, system in enumerate(study.systems):
        value = system.params.get(parameter)
        if value is not None and is_number(value) and len(panel.present(index)):
            table.setdefault(system.label, {}).setdefault(float(value), []).append(index)
    most = max((len(known) for known in table.values()), default=0)
    if most < 2:
        return None
    if most < len(x):
        widest = next(known for known in table.values() if len(known) == most)
        x = np.array(sorted(widest))
    complete = {label for label, known in table.items() if set(x) <= set(known)}
    members = {value: {label: table[label][value] for label in complete} for value in x.tolist()}
    kept, left_out = whole_settings(panel, members, complete)
    sets = tuple(label for label in table if label in set(kept))
    per_set = np.array(
        [[np.nanmean(panel.means[table[label][value]]) for value in x.tolist()] for label in sets], dtype=np.float64
    )
    means = averages(
        panel,
        [
            {index: 1 / (len(sets) * len(table[label][value])) for label in sets for index in table[label][value]}
            for value in x.tolist()
        ],
    )
    scored = ~np.isnan(base)
    level = float(base[scored].mean())
    groups = None if panel.groups is None else panel.groups.subset(scored)
    intervals = [
        two_level(block[:, scored] - base[scored], groups=groups, pooled=means.pooled, num_seeds=means.num_seeds)
        for block in means.blocks
    ]
    return Curve(
        parameter,
        target,
        x,
        np.array([block.mean() for block in means.blocks]),
        level + np.array([interval.low for interval in intervals]),
        level + np.array([interval.high for interval in intervals]),
        sets,
        per_set,
        means.num_seeds,
        level,
        is_log(x),
        left_out,
    )
