"""Weighted means over configurations, on the seeds that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optical_ray.report.study import Panel
from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.seeds import SeedVariance

FEWEST_SHARED = 2


@dataclass(frozen=True)
class Averages:
    """R x T ``blocks``, one per mean; ``pooled`` is the seed variance of one row of a block.

    If configurations share fewer than two seeds, a block is a single row: the mean over the seeds that each
    configuration has. ``num_seeds`` is the smallest number of seeds of a configuration.
    """

    blocks: tuple[FloatArray, ...]
    pooled: SeedVariance | None
    num_seeds: int


def averages(panel: Panel, means: Sequence[Mapping[int, float]]) -> Averages:
    """Return the means of configurations that ``means`` describe: index of a system -> weight, adding up to 1."""
    members = sorted({index for weights in means for index in weights})
    counts = {index: len(panel.present(index)) for index in members}
    shared = ~np.isnan(panel.values[members]).any(axis=(0, 2))
    most = max(counts.values())
    if shared.sum() >= min(FEWEST_SHARED, most):
        runs = panel.values[:, shared]
        blocks = tuple(
            np.asarray(np.tensordot(list(weights.values()), runs[list(weights)], axes=1)) for weights in means
        )
        factor = float(np.mean([sum(weight**2 for weight in weights.values()) for weights in means]))
        return Averages(blocks, _scaled(panel.seed_variance, factor), int(shared.sum()))
    rows = {index: panel.present(index).mean(axis=0) for index in members}
    blocks = tuple(sum(weight * rows[index] for index, weight in weights.items())[None, :] for weights in means)
    factor = float(np.mean([sum(weight**2 / counts[index] for index, weight in weights.items()) for weights in means]))
    return Averages(blocks, _scaled(panel.seed_variance, factor), min(counts.values()))


def _scaled(pooled: SeedVariance | None, factor: float) -> SeedVariance | None:
    return None if pooled is None else pooled.scaled(factor)


def whole_settings(
    panel: Panel, members: Mapping[Any, Mapping[str, Sequence[int]]], settings: set[str]
) -> tuple[list[str], tuple[str, ...]]:
    """Return the settings that every member has with every seed, and those left out because they lack seeds.

    All settings are returned if none is whole.
    """
    counts = {
        setting: [len(panel.present(index)) for known in members.values() for index in known[setting]]
        for setting in sorted(settings)
    }
    most = max(max(values) for values in counts.values())
    whole = [setting for setting, values in counts.items() if min(values) == most]
    return (whole, tuple(sorted(settings - set(whole)))) if whole else (sorted(settings), ())
