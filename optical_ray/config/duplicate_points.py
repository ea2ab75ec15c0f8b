"""Points of a search space that pose the same alignment problem: a study would train the same student twice.

Each loss knows its normal form (``Loss.canonical``); two settings are duplicates if their normal forms are equal.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import with_params
from optical_ray.config.space import Float, Params, Value, active, corners, dimensions, grid
from optical_ray.losses.interface import Loss

MAX_POINTS = 4096
"""Points of a design that are compared; of a larger space only the corners are."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Duplicate:
    """Two settings of the space with the same alignment problem: the same plans, and losses equal up to a factor.

    ``first`` and ``second``: their values by path; a range is written as (low, high). ``ranges``: the searched numbers
    of the normal form, by path in the loss, for which the problems coincide; empty for single points.
    """

    first: Mapping[str, Value | Interval]
    second: Mapping[str, Value | Interval]
    ranges: Mapping[str, Interval]


@dataclass(frozen=True)
class _Region:
    """The normal forms that a setting reaches: a fixed value for each text, an interval for each number."""

    setting: Mapping[str, Value | Interval]
    texts: frozenset[tuple[str, str]]
    numbers: Mapping[str, Interval]

    @classmethod
    def from_points(cls, points: list[Params], forms: list[Mapping[str, Any]]) -> _Region:
        """Span the intervals between the extreme points of one setting."""
        is_number = {path: isinstance(value, (int, float)) for path, value in forms[0].items()}
        texts = frozenset((path, str(value)) for path, value in forms[0].items() if not is_number[path])
        numbers = {path: _interval([form[path] for form in forms]) for path in forms[0] if is_number[path]}
        values = {path: list(dict.fromkeys(point[path] for point in points)) for path in points[0]}
        setting = {path: reached[0] if len(reached) == 1 else _interval(reached) for path, reached in values.items()}
        return cls(setting, texts, numbers)

    def overlap(self, other: _Region) -> dict[str, Interval] | None:
        """The intervals that both reach, or None if they have no point in common."""
        if self.texts != other.texts or self.numbers.keys() != other.numbers.keys():
            return None
        common = {}
        for path, (low, high) in self.numbers.items():
            other_low, other_high = other.numbers[path]
            common[path] = max(low, other_low), min(high, other_high)
        return common if all(low <= high for low, high in common.values()) else None


def duplicate_points(experiment: Experiment) -> Iterator[Duplicate]:
    """Find pairs of settings in the loss dimensions of the experiment's space with the same alignment problem.

    A continuous dimension of a search is compared as a range: the settings are the combinations of the others.
    """
    space = {path: dimension for path, dimension in experiment.space.items() if f"{path}.".startswith("loss.")}
    is_continuous = experiment.search.mode == "optimise" and any(isinstance(d, Float) for _, d in dimensions(space))
    is_small = not is_continuous and math.prod(len(dimension.grid()) for dimension in space.values()) <= MAX_POINTS
    settings: dict[tuple[tuple[str, Value], ...], list[Params]] = defaultdict(list)
    for params in grid(space) if is_small else corners(space):
        known = active(space, params) if is_continuous else {}
        fixed = {path: value for path, value in params.items() if not isinstance(known.get(path), Float)}
        settings[tuple(fixed.items())].append(params)
    regions: dict[Any, list[_Region]] = defaultdict(list)
    for points in settings.values():
        region = _Region.from_points(points, [_normal_form(with_params(experiment, p).loss) for p in points])
        # corners of a large space change one dimension at a time: those of different dimensions meet at the default
        paths = None if space.keys() <= points[0].keys() else frozenset(points[0])
        # single points coincide only if all their numbers are equal
        numbers = None if is_continuous else tuple(region.numbers.items())
        regions[region.texts, numbers, paths].append(region)
    for bucket in regions.values():
        for first, second in combinations(bucket, 2):
            common = first.overlap(second)
            if common is not None:
                ranges = {path: interval for path, interval in common.items() if interval[0] < interval[1]}
                yield Duplicate(first.setting, second.setting, ranges)


def _normal_form(loss: Loss) -> dict[str, Any]:
    """The leaves of the loss's normal form by their path."""
    _, canonical = loss.canonical()
    return dict(_leaves(asdict(canonical), ""))  # type: ignore[call-overload]


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, (dict, list, tuple)):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _interval(values: list[Any]) -> Interval:
    return min(values), max(values)
