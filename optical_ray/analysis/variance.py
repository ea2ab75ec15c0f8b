"""Where the variance lies, and whether the order of source sets holds still.

Legend of array shapes: ``C`` systems with one seed each (runs), ``J`` targets, ``T`` topics.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from optical_ray.analysis.curves import is_log, levels, varied_numbers
from optical_ray.analysis.study import FloatArray, Study, nan_mean


@dataclass(frozen=True)
class Component:
    """A source of variance: ``share`` of the total sum of squares of per-topic scores, ``freedom`` its degrees."""

    name: str
    share: float
    freedom: int


@dataclass(frozen=True)
class Decomposition:
    """Shares that add to 1. ``balanced``: the order in which sources are fitted does not matter."""

    components: tuple[Component, ...]
    balanced: bool
    num_runs: int


def decompose(study: Study) -> Decomposition | None:
    """Sums of squares of test scores: target, topic, source set, numbers, seed, and each one's interaction with target.

    Targets weigh equally; sources are fitted one after another (source set, variant, numbers, configuration, seed),
    which is unique in a balanced design and said not to be elsewhere. Shares are of sums of squares: a source with more
    degrees of freedom catches more noise. ``None`` where fewer than two runs are scored on all targets.
    """
    runs = _complete_runs(study)
    if len(runs) < 2:
        return None
    means = np.array([[study.test(target).seed_means[run] for target in study.targets] for run in runs])
    centred = means - means.mean(axis=0)
    squares: dict[str, tuple[float, int]] = {}
    within, residual = [], []
    for column, target in enumerate(study.targets):
        block = np.stack([study.test(target).values[run] for run in runs])
        topic = block.mean(axis=0)
        within.append(float(topic.var()))
        residual.append(float(((block - topic - means[:, column, None] + topic.mean()) ** 2).mean()))
    target_means = means.mean(axis=0)
    num_topics = sum(len(study.test(target).topics) for target in study.targets)
    squares["target"] = float(target_means.var()), len(study.targets) - 1
    squares["topic"] = float(np.mean(within)), num_topics - len(study.targets)
    fitted, balanced = _sequential(_designs(study, runs), centred)
    squares.update(fitted)
    squares["topic × system"] = float(np.mean(residual)), (num_topics - len(study.targets)) * (len(runs) - 1)
    total = sum(value for value, _ in squares.values())
    if total <= 0:
        return None
    components = tuple(Component(name, value / total, freedom) for name, (value, freedom) in squares.items())
    return Decomposition(components, balanced, len(runs))


def _complete_runs(study: Study) -> list[tuple[int, int]]:
    """(system, seed column) pairs that are scored on every target."""
    there = np.all([~np.isnan(study.test(target).seed_means) for target in study.targets], axis=0)
    return [(int(system), int(seed)) for system, seed in np.argwhere(there)]


def _designs(study: Study, runs: Sequence[tuple[int, int]]) -> list[tuple[str, FloatArray]]:
    """What is fitted, in order: a name and its columns over runs."""
    systems = [study.systems[system] for system, _ in runs]
    designs = [("source set", _dummies(["+".join(system.sources) for system in systems]))]
    if len({system.variant for system in systems}) > 1:
        designs.append(("variant", _dummies([system.variant for system in systems])))
    for name in varied_numbers(study):
        values = [system.params.get(name) for system in systems]
        designs.append((name.rsplit(".", 1)[-1], _number(values, levels(study, name), len(study.systems))))
    designs.append(("configuration (rest)", _dummies([str(system) for system, _ in runs])))
    return designs


def _number(values: Sequence[object], known: FloatArray, num_systems: int) -> FloatArray:
    """Dummies for a grid; a quadratic (in the logarithm over a wide range) for a continuous search."""
    if len(known) <= max(2, num_systems // 3):
        return _dummies([str(value) for value in values])
    numbers = np.array([value if isinstance(value, int | float) else np.nan for value in values], dtype=np.float64)
    numbers = np.where(np.isnan(numbers), np.nanmean(numbers), numbers)
    x = np.log(numbers) if is_log(known) else numbers
    x = (x - x.mean()) / (x.std() or 1.0)
    return np.stack([x, x**2], axis=1)


def _dummies(labels: Sequence[str]) -> FloatArray:
    names = sorted(set(labels))
    return np.array([[label == name for name in names] for label in labels], dtype=np.float64)


def _sequential(
    designs: Sequence[tuple[str, FloatArray]], centred: FloatArray
) -> tuple[dict[str, tuple[float, int]], bool]:
    """What each design adds (main and by target), the seeds what is left; and whether designs are orthogonal."""
    num_runs, num_targets = centred.shape
    main = np.repeat(centred.mean(axis=1, keepdims=True), num_targets, axis=1)
    parts = {"": main, " × target": centred - main}
    basis = np.full((num_runs, 1), num_runs**-0.5)
    found: dict[str, tuple[float, int]] = {}
    balanced = True
    for name, design in designs:
        fresh = design - basis @ (basis.T @ design)
        alone = design - design.mean(axis=0)
        balanced &= name.startswith("configuration") or bool(np.allclose(fresh, alone, atol=1e-9))
        left, values, _ = np.linalg.svd(fresh, full_matrices=False)
        columns = left[:, values > 1e-9 * max(1.0, float(values.max(initial=0.0)))]
        basis = np.concatenate([basis, columns], axis=1)
        for suffix, part in parts.items():
            freedom = columns.shape[1] * (1 if not suffix else num_targets - 1)
            if freedom:
                found[name + suffix] = float(((columns.T @ part) ** 2).sum()) / centred.size, freedom
    rest = num_runs - basis.shape[1]
    for suffix, part in parts.items():
        freedom = rest * (1 if not suffix else num_targets - 1)
        if freedom:
            left_over = part - basis @ (basis.T @ part)
            found["seed" + suffix] = float((left_over**2).sum()) / centred.size, freedom
    return found, balanced


@dataclass(frozen=True)
class Stability:
    """Kendall's tau of the order of source sets between pairs of levels (of epsilon, of seeds, of bitext size)."""

    target: str
    over: str
    num_levels: int
    num_sets: int
    mean: float
    lowest: float


def stability(study: Study) -> tuple[Stability, ...]:
    """Rank stability of source sets for every target over each searched number's levels and over seeds."""
    found: list[Stability] = []
    for target in study.targets:
        seed_means = study.test(target).seed_means
        for name in varied_numbers(study):
            table = _by_level(study, nan_mean(seed_means, axis=1), name)
            found += _taus(target, name.rsplit(".", 1)[-1], table)
        if len(study.seeds) > 1:
            found += _taus(target, "seed", _by_seed(study, seed_means))
    return tuple(found)


def _by_level(study: Study, means: FloatArray, name: str) -> FloatArray:
    """Arms x levels, NaN where not trained."""
    known = levels(study, name).tolist()
    arms = sorted({system.label for system in study.systems})
    cells: dict[tuple[int, int], list[float]] = {}
    for index, system in enumerate(study.systems):
        value = system.params.get(name)
        if value in known and not np.isnan(means[index]):
            cells.setdefault((arms.index(system.label), known.index(value)), []).append(float(means[index]))
    table = np.full((len(arms), len(known)), np.nan)
    for place, values in cells.items():
        table[place] = np.mean(values)
    return table


def _by_seed(study: Study, seed_means: FloatArray) -> FloatArray:
    """Arms x seeds: the mean over an arm's configurations."""
    arms = sorted({system.label for system in study.systems})
    rows = [[index for index, system in enumerate(study.systems) if system.label == arm] for arm in arms]
    return np.stack([seed_means[members].mean(axis=0) for members in rows])


def _taus(target: str, over: str, table: FloatArray) -> list[Stability]:
    taus, most = [], 0
    for one, two in itertools.combinations(range(table.shape[1]), 2):
        both = ~np.isnan(table[:, one]) & ~np.isnan(table[:, two])
        if both.sum() >= 3:
            tau = float(stats.kendalltau(table[both, one], table[both, two]).statistic)
            if not np.isnan(tau):
                taus.append(tau)
                most = max(most, int(both.sum()))
    if not taus:
        return []
    return [Stability(target, over, table.shape[1], most, float(np.mean(taus)), min(taus))]
