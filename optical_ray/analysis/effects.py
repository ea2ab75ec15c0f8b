"""Source set x target: who was chosen on eval, what it gained on test, and how sure that is.

An *arm* is a row of the matrix: a source set (and a variant, where a choice such as the loss is searched too).
Where an arm was trained with several numbers (epsilon, learning rate), the cell shows the configuration that is best
on that target's eval topics.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy import stats

from optical_ray.analysis.intervals import Interval, bootstrap, two_level
from optical_ray.analysis.significance import NUM_RESAMPLES, Effect, benjamini_hochberg, effect, holm, sign_flip, t_test
from optical_ray.analysis.study import ENGLISH_ONLY, FloatArray, Study, nan_mean

ALPHA = 0.05

Cells = Collection[tuple[str, str]]
"""(target, label) pairs."""


@dataclass(frozen=True)
class Comparison:
    """One cell against a baseline on the test topics.

    ``system`` indexes ``Study.systems``; ``own`` marks supervision (the target's language is a source);
    ``p``, ``p_t``: sign-flip and t-test; ``p_holm``, ``p_bh``: the sign-flip p adjusted over the whole family;
    ``p_seeds_holm``: the p with seeds as a level (``Interval.p``), Holm over the same family; NaN with one seed.
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

    @property
    def gain(self) -> float:
        """Mean minus baseline."""
        return self.mean - self.baseline

    @property
    def significant(self) -> bool:
        """Whether Holm's p is below 0.05: a claim on topics, for the students that were trained."""
        return self.p_holm < ALPHA

    @property
    def robust(self) -> bool:
        """Significant with seeds as a level too (Holm): a claim on training again, given the shared teacher."""
        return self.significant and self.p_seeds_holm < ALPHA


@dataclass(frozen=True)
class Matrix:
    """Arms x targets. ``chosen`` holds system indices (-1: not scored), ``eval`` and ``test`` seed-mean scores,
    ``spread`` the sd over seeds, ``num_seeds`` the seeds there are; NaN where nothing is."""

    labels: tuple[str, ...]
    sources: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]
    chosen: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    eval: FloatArray
    test: FloatArray
    spread: FloatArray
    num_seeds: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    own: np.ndarray[tuple[int, int], np.dtype[np.bool_]]

    def best(self, target: int, *, transfer: bool = False) -> int:
        """The row with the highest eval score for a target, or -1; ``transfer`` leaves own-language rows out."""
        scores = self.eval[:, target]
        if transfer:
            scores = np.where(self.own[:, target], np.nan, scores)
        return -1 if np.isnan(scores).all() else int(np.nanargmax(scores))

    def all_round(self, *, without_own: int | None = None) -> int:
        """The row with the highest eval score averaged over all targets, or -1; only rows scored on all of them count.

        ``without_own`` leaves out the rows that hold the language of that target.
        """
        means = self.eval.mean(axis=1)
        if without_own is not None:
            means = np.where(self.own[:, without_own], np.nan, means)
        return -1 if np.isnan(means).all() else int(np.nanargmax(means))

    def mean_ranks(self) -> FloatArray:
        """The mean over targets of each row's rank on test (1 is best, ties share), over targets it is scored on."""
        ranks = np.full(self.test.shape, np.nan)
        for column in range(len(self.targets)):
            there = ~np.isnan(self.test[:, column])
            ranks[there, column] = stats.rankdata(-self.test[there, column])
        return nan_mean(ranks, axis=1)

    def regrets(self) -> FloatArray:
        """Test score of the row chosen on eval minus each row's: what choosing that row instead costs, per target."""
        chosen = [self.best(column) for column in range(len(self.targets))]
        reference = np.array([self.test[row, column] if row >= 0 else np.nan for column, row in enumerate(chosen)])
        return np.asarray(reference[None, :] - self.test)


@dataclass(frozen=True)
class Selection:
    """How much of a chosen set's gain is luck of its seeds.

    ``gain``: cross-fitted, the set is chosen without the seed that it is judged on, averaged over seeds; ``picks``: the
    sets that were chosen so.
    """

    gain: float
    picks: tuple[str, ...]


def cross_fit(study: Study, item: Comparison, *, transfer: bool) -> Selection | None:
    """Leave-one-seed-out choice for a headline; ``None`` with one seed.

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


def matrix(study: Study) -> Matrix:
    """The source set x target matrix of ``study``."""
    arms: dict[str, list[int]] = {}
    for index, system in enumerate(study.systems):
        arms.setdefault(system.label, []).append(index)
    labels = sorted(arms, key=lambda label: (len(study.systems[arms[label][0]].sources), label))
    shape = (len(labels), len(study.targets))
    chosen = np.full(shape, -1, dtype=np.int64)
    on_eval, on_test, spread = (np.full(shape, np.nan) for _ in range(3))
    num_seeds = np.zeros(shape, dtype=np.int64)
    own = np.zeros(shape, dtype=np.bool_)
    for column, target in enumerate(study.targets):
        eval_means, seed_means = study.eval(target).means, study.test(target).seed_means
        for row, label in enumerate(labels):
            members = arms[label]
            own[row, column] = study.holds_own(study.systems[members[0]].sources, target)
            usable = [
                index for index in members if not np.isnan(eval_means[index]) and not np.isnan(seed_means[index]).all()
            ]
            if not usable:
                continue
            best = max(usable, key=lambda index: float(eval_means[index]))
            runs = seed_means[best][~np.isnan(seed_means[best])]
            chosen[row, column] = best
            on_eval[row, column] = eval_means[best]
            on_test[row, column] = runs.mean()
            spread[row, column] = runs.std(ddof=1) if len(runs) > 1 else np.nan
            num_seeds[row, column] = len(runs)
    sources = tuple(study.systems[arms[label][0]].sources for label in labels)
    return Matrix(tuple(labels), sources, study.targets, chosen, on_eval, on_test, spread, num_seeds, own)


def compare(
    study: Study,
    cells: Matrix,
    *,
    baseline: str = ENGLISH_ONLY,
    only: Collection[tuple[str, str]] | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[Comparison, ...]:
    """Every cell against ``baseline``: one family of tests, adjusted together.

    ``only`` restricts the family to (target, label) pairs. Cells without scores and targets that the baseline lacks are
    no tests.
    """
    found: list[tuple[str, int, FloatArray, float, float, tuple[float, float], Interval]] = []
    p_values: list[float] = []
    p_t: list[float] = []
    for column, target in enumerate(cells.targets):
        panel = study.test(target)
        base = panel.baselines.get(baseline)
        if base is None or np.isnan(base).all():
            continue
        scored = ~np.isnan(base)
        base = base[scored]
        there = [
            row
            for row, label in enumerate(cells.labels)
            if cells.chosen[row, column] >= 0 and (only is None or (target, label) in only)
        ]
        if not there:
            continue
        blocks = [panel.present(int(cells.chosen[row, column]))[:, scored] - base for row in there]
        differences = np.stack([block.mean(axis=0) for block in blocks])
        p_values.extend(sign_flip(differences, num_resamples=num_resamples))
        p_t.extend(t_test(differences))
        for row, block, boot in zip(there, blocks, bootstrap(blocks), strict=True):
            mean = float(block.mean() + base.mean())
            found.append((target, row, block.mean(axis=0), mean, float(base.mean()), boot, two_level(block)))
    adjusted, discovered = holm(np.array(p_values)), benjamini_hochberg(np.array(p_values))
    over_seeds = holm(np.array([item[-1].p for item in found]))
    columns = {target: column for column, target in enumerate(cells.targets)}
    return tuple(
        Comparison(
            target,
            cells.labels[row],
            cells.sources[row],
            int(cells.chosen[row, columns[target]]),
            bool(cells.own[row, columns[target]]),
            mean,
            base_mean,
            interval,
            boot,
            effect(differences),
            p_values[index],
            p_t[index],
            float(adjusted[index]),
            float(discovered[index]),
            float(over_seeds[index]) if interval.across_seeds else float("nan"),
        )
        for index, (target, row, differences, mean, base_mean, boot, interval) in enumerate(found)
    )
