"""The score against a searched number (epsilon, bitext size): balanced means with intervals, or single points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optical_ray.analysis.intervals import two_level
from optical_ray.analysis.load import is_number
from optical_ray.analysis.study import ENGLISH_ONLY, FloatArray, Study

EPSILON = "loss.solver.epsilon"
MOST_LEVELS = 12
"""More values than this are a continuous search: points, no curve."""


@dataclass(frozen=True)
class Curve:
    """Test score of one target against ``parameter``: the mean over the source sets that were trained at every value.

    ``low`` and ``high``: two-level interval of the mean's gain over English-only, drawn around the mean. ``sets``: the
    source sets in it, and ``per_set`` their own curves (sets x levels).
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


def varied_numbers(study: Study) -> tuple[str, ...]:
    """The searched numbers that take more than one value; epsilon first."""
    names = sorted({name for system in study.systems for name in system.params})
    varied = []
    for name in names:
        values = {system.params.get(name) for system in study.systems if is_number(system.params.get(name))}
        if len(values) > 1:
            varied.append(name)
    return tuple(sorted(varied, key=lambda name: (name != EPSILON, name)))


def levels(study: Study, parameter: str) -> FloatArray:
    """The values that ``parameter`` takes, sorted."""
    found = {float(system.params[parameter]) for system in study.systems if is_number(system.params.get(parameter))}
    return np.array(sorted(found))


def is_log(values: FloatArray) -> bool:
    """Whether values spread over a factor that wants a logarithmic axis."""
    return bool(len(values) > 1 and values[0] > 0 and values[-1] / values[0] >= 5)


def curve(study: Study, parameter: str, target: str) -> Curve | None:
    """The balanced curve of ``target``; ``None`` where fewer than two values share a source set.

    Where other numbers vary too, a (set, value) pair is the mean over its configurations.
    """
    x = levels(study, parameter)
    if not 2 <= len(x) <= MOST_LEVELS:
        return None
    panel = study.test(target)
    base = panel.baselines[ENGLISH_ONLY]
    table: dict[str, dict[float, list[int]]] = {}
    for index, system in enumerate(study.systems):
        value = system.params.get(parameter)
        if value is not None and is_number(value) and len(panel.present(index)):
            table.setdefault(system.label, {}).setdefault(float(value), []).append(index)
    most = max((len(found) for found in table.values()), default=0)
    if most < 2:
        return None
    if most < len(x):
        widest = next(found for found in table.values() if len(found) == most)
        x = np.array(sorted(widest))
    sets = tuple(label for label, found in table.items() if set(x) <= set(found))
    per_set = np.array(
        [[np.nanmean(panel.means[table[label][value]]) for value in x.tolist()] for label in sets], dtype=np.float64
    )
    blocks = [_average(study, target, [table[label][value] for label in sets]) for value in x.tolist()]
    scored = ~np.isnan(base)
    level = float(base[scored].mean())
    intervals = [two_level(block[:, scored] - base[scored]) for block in blocks]
    return Curve(
        parameter,
        target,
        x,
        np.array([block.mean() for block in blocks]),
        level + np.array([interval.low for interval in intervals]),
        level + np.array([interval.high for interval in intervals]),
        sets,
        per_set,
        min(len(block) for block in blocks),
        level,
        is_log(x),
    )


def _average(study: Study, target: str, groups: list[list[int]]) -> FloatArray:
    """R x T: each seed's mean over the groups' systems, on the seeds that all of them have; else one row of means."""
    panel = study.test(target)
    members = [index for group in groups for index in group]
    weights = np.array([1.0 / (len(groups) * len(group)) for group in groups for _ in group])
    runs = panel.values[members]
    shared = ~np.isnan(runs).any(axis=(0, 2))
    if shared.any():
        return np.asarray(np.tensordot(weights, runs[:, shared], axes=1))
    means = np.stack([panel.present(index).mean(axis=0) for index in members])
    return np.asarray((weights @ means)[None, :])
