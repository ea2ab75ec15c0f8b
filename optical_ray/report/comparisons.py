"""Each cell of the matrix against a baseline, as one family of tests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from optical_ray.report.matrix import Matrix
from optical_ray.report.study import Panel, Study
from optical_ray.statistics.arrays import FloatArray, nan_mean
from optical_ray.statistics.groups import Groups
from optical_ray.statistics.intervals import Interval, bootstrap, two_level
from optical_ray.statistics.power import Effect, detectable_with_seeds, effect
from optical_ray.statistics.significance import ALPHA, NUM_RESAMPLES, benjamini_hochberg, holm, sign_flip, t_test
from optical_ray.study.layout import UNDISTILLED

Cells = Collection[tuple[str, str]]
"""(target, label) pairs."""


@dataclass(frozen=True)
class Comparison:
    """A cell against a baseline on the test topics.

    ``system`` indexes ``Study.systems``; ``own`` marks supervision (the target's language is a source). ``p`` and
    ``p_t`` are those of the sign-flip test and the t-test; ``p_holm`` and ``p_bh`` the sign-flip p adjusted over the
    family of ``num_tests``; ``p_seeds_holm`` the p with seeds as a level (``Interval.p``), Holm over the same family,
    NaN for one seed. ``detectable_seeds`` is the minimum detectable difference of that test.
    """

    target: str
    label: str
    sources: tuple[str, ...]
    system: int
    own: bool
    mean: float
    baseline: float
    interval: Interval
    bootstrap: tuple[float, float]
    effect: Effect
    p: float
    p_t: float
    p_holm: float
    p_bh: float
    p_seeds_holm: float
    num_tests: int
    detectable_seeds: float

    @property
    def gain(self) -> float:
        """Mean minus baseline."""
        return self.mean - self.baseline

    @property
    def significant(self) -> bool:
        """Whether Holm's p is below 0.05: a claim about topics, for the students that were trained."""
        return self.p_holm < ALPHA

    @property
    def robust(self) -> bool:
        """Whether it is also significant with seeds as a level: a claim about training again, given the teacher."""
        return self.significant and self.p_seeds_holm < ALPHA

    @property
    def helps(self) -> bool:
        """Whether the gain is above zero and significant."""
        return self.significant and self.gain > 0


@dataclass(frozen=True)
class _Cell:
    """A cell before the correction over the family."""

    row: int
    column: int
    block: FloatArray
    base: FloatArray
    groups: Groups | None
    interval: Interval
    bootstrap: tuple[float, float]
    p: float
    p_t: float


def compare(
    study: Study,
    cells: Matrix,
    *,
    baseline: str = UNDISTILLED,
    only: Cells | None = None,
    pooled: bool = True,
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[Comparison, ...]:
    """Compare every cell with ``baseline`` and adjust the p-values over all of them.

    ``only`` restricts the family to (target, label) pairs. Cells without scores and targets that the baseline lacks
    are left out. Whole groups of topics are flipped and drawn if a collection has groups. The variance between seeds
    is pooled over all systems of a target (and the students of a control that is the baseline); ``pooled=False`` uses
    that of each cell.
    """
    family: list[_Cell] = []
    for column, target in enumerate(cells.targets):
        rows = [
            row
            for row, label in enumerate(cells.labels)
            if cells.chosen[row, column] >= 0 and (only is None or (target, label) in only)
        ]
        family += _column(
            study.test(target), cells, column, rows, baseline=baseline, pooled=pooled, num_resamples=num_resamples
        )
    p_values = np.array([cell.p for cell in family])
    adjusted, discovered = holm(p_values), benjamini_hochberg(p_values)
    over_seeds = holm(np.array([cell.interval.p for cell in family]))
    return tuple(
        _comparison(cells, cell, len(family), float(p_holm), float(p_bh), float(p_seeds))
        for cell, p_holm, p_bh, p_seeds in zip(family, adjusted, discovered, over_seeds, strict=True)
    )


def _column(
    panel: Panel, cells: Matrix, column: int, rows: list[int], *, baseline: str, pooled: bool, num_resamples: int
) -> list[_Cell]:
    """The cells of one target."""
    base = panel.baselines.get(baseline)
    if base is None or np.isnan(base).all() or not rows:
        return []
    scored = ~np.isnan(base)
    base = base[scored]
    groups = None if panel.groups is None else panel.groups.subset(scored)
    control = panel.control_runs.get(baseline)
    control = None if control is None else control[:, scored]
    variance = panel.with_control(baseline) if pooled else None
    blocks = [panel.present(int(cells.chosen[row, column]))[:, scored] - base for row in rows]
    differences = np.stack([block.mean(axis=0) for block in blocks])
    p_values = sign_flip(differences, groups, num_resamples=num_resamples)
    p_t = t_test(differences, groups)
    intervals = [two_level(block, groups=groups, pooled=variance, control=control) for block in blocks]
    return [
        _Cell(row, column, block, base, groups, interval, resampled, float(p_values[index]), float(p_t[index]))
        for index, (row, block, interval, resampled) in enumerate(
            zip(rows, blocks, intervals, bootstrap(blocks, groups), strict=True)
        )
    ]


def _comparison(cells: Matrix, cell: _Cell, num_tests: int, p_holm: float, p_bh: float, p_seeds: float) -> Comparison:
    interval = cell.interval
    return Comparison(
        target=cells.targets[cell.column],
        label=cells.labels[cell.row],
        sources=cells.sources[cell.row],
        system=int(cells.chosen[cell.row, cell.column]),
        own=bool(cells.own[cell.row, cell.column]),
        mean=float(cell.block.mean() + cell.base.mean()),
        baseline=float(cell.base.mean()),
        interval=interval,
        bootstrap=cell.bootstrap,
        effect=effect(cell.block.mean(axis=0), cell.groups, num_tests=num_tests),
        p=cell.p,
        p_t=cell.p_t,
        p_holm=p_holm,
        p_bh=p_bh,
        p_seeds_holm=p_seeds if interval.across_seeds else float("nan"),
        num_tests=num_tests,
        detectable_seeds=detectable_with_seeds(interval.parts, num_tests=num_tests),
    )


@dataclass(frozen=True)
class Selection:
    """How much of a chosen set's gain is luck of its seeds.

    ``gain`` is cross-fitted: the set is chosen without the seed that it is judged on, averaged over seeds; ``picks``
    are the sets that were chosen so.
    """

    gain: float
    picks: tuple[str, ...]


def cross_fit(study: Study, item: Comparison, *, transfer: bool) -> Selection | None:
    """Choose a headline's set again, leaving one seed out at a time; None for one seed.

    Choosing on eval topics guards against luck of topics, not of seeds: a lucky student is lucky on both splits.
    """
    on_eval, on_test = study.eval(item.target).seed_means, study.test(item.target).seed_means
    allowed = np.array([not (transfer and study.holds_own(system.sources, item.target)) for system in study.systems])
    gains, picks = [], []
    for seed in range(on_test.shape[1]):
        others = nan_mean(np.delete(on_eval, seed, axis=1), axis=1)
        usable = allowed & ~np.isnan(others) & ~np.isnan(on_test[:, seed])
        if usable.any():
            best = int(np.argmax(np.where(usable, others, -np.inf)))
            gains.append(float(on_test[best, seed]) - item.baseline)
            picks.append(study.systems[best].label)
    if len(gains) < 2:
        return None
    return Selection(float(np.mean(gains)), tuple(dict.fromkeys(picks)))
