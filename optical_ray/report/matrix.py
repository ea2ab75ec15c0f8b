"""The source set x target matrix: what is chosen on eval, and its scores on test.

A row is a source set (and a variant, if a choice such as the loss is searched too). If a row was trained with several
numbers (epsilon, learning rate), its cell holds the configuration that is best on that target's eval topics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from optical_ray.report.study import Study
from optical_ray.statistics.arrays import FloatArray, IntArray, nan_mean


@dataclass(frozen=True)
class Matrix:
    """Rows x targets.

    ``chosen`` holds indices into ``Study.systems`` (-1: not scored), ``eval`` and ``test`` means over seeds, ``spread``
    the sd over seeds, ``num_seeds`` the number of seeds; NaN for cells without scores. ``own`` marks supervision.
    """

    labels: tuple[str, ...]
    sources: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]
    chosen: IntArray
    eval: FloatArray
    test: FloatArray
    spread: FloatArray
    num_seeds: IntArray
    own: np.ndarray[tuple[int, int], np.dtype[np.bool_]]

    def best(self, target: int, *, transfer: bool = False) -> int:
        """The row with the highest eval score, or -1; ``transfer`` leaves out rows with the target's own language."""
        return _argmax(self._allowed(self.eval[:, target], target if transfer else None))

    def best_on_test(self, target: int, *, transfer: bool = False) -> int:
        """The row with the highest test score, or -1: what choosing on test would have reported."""
        return _argmax(self._allowed(self.test[:, target], target if transfer else None))

    def all_round(self, *, without_own: int | None = None) -> int:
        """The row with the highest eval score averaged over all targets, or -1; it must be scored on all of them.

        ``without_own`` leaves out the rows with the language of that target.
        """
        return _argmax(self._allowed(self.eval.mean(axis=1), without_own))

    def num_rows(self, *, without_own: int | None = None) -> int:
        """How many rows ``all_round`` chooses from."""
        return int((~np.isnan(self._allowed(self.eval.mean(axis=1), without_own))).sum())

    def _allowed(self, scores: FloatArray, without_own: int | None) -> FloatArray:
        return scores if without_own is None else np.where(self.own[:, without_own], np.nan, scores)

    def mean_ranks(self) -> FloatArray:
        """Each row's test rank (1 is best, ties share), averaged over the targets it is scored on."""
        ranks = np.full(self.test.shape, np.nan)
        for column in range(len(self.targets)):
            scored = ~np.isnan(self.test[:, column])
            ranks[scored, column] = stats.rankdata(-self.test[scored, column])
        return nan_mean(ranks, axis=1)

    def regrets(self) -> FloatArray:
        """Test score of the row chosen on eval minus each row's: the cost of that row instead, per target."""
        chosen = [self.best(column) for column in range(len(self.targets))]
        reference = np.array([self.test[row, column] if row >= 0 else np.nan for column, row in enumerate(chosen)])
        return np.asarray(reference[None, :] - self.test)


def _argmax(scores: FloatArray) -> int:
    return -1 if np.isnan(scores).all() else int(np.nanargmax(scores))


def matrix(study: Study) -> Matrix:
    """Return the source set x target matrix of ``study``."""
    members: dict[str, list[int]] = {}
    for index, system in enumerate(study.systems):
        members.setdefault(system.label, []).append(index)
    labels = sorted(members, key=lambda label: (len(study.systems[members[label][0]].sources), label))
    shape = (len(labels), len(study.targets))
    chosen = np.full(shape, -1, dtype=np.int64)
    on_eval, on_test, spread = (np.full(shape, np.nan) for _ in range(3))
    num_seeds = np.zeros(shape, dtype=np.int64)
    own = np.zeros(shape, dtype=np.bool_)
    for column, target in enumerate(study.targets):
        eval_means, seed_means = study.eval(target).means, study.test(target).seed_means
        for row, label in enumerate(labels):
            own[row, column] = study.holds_own(study.systems[members[label][0]].sources, target)
            usable = [
                index
                for index in members[label]
                if not np.isnan(eval_means[index]) and not np.isnan(seed_means[index]).all()
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
    sources = tuple(study.systems[members[label][0]].sources for label in labels)
    return Matrix(tuple(labels), sources, study.targets, chosen, on_eval, on_test, spread, num_seeds, own)
