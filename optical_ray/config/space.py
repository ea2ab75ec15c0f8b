"""The search space: dotted paths into the trial, each with a dimension."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from optical_ray.config.choices import Block
from optical_ray.config.trial import SUBSET_SIGN

Value = float | int | str


class Float(Block):
    """A real number in [low, high], uniform or log-uniform; ``points``: how many an ``estimate`` design takes."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    points: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Float:
        _check_range(self.low, self.high, log=self.log)
        return self

    def corners(self) -> list[Value]:
        """The extremes."""
        return list(dict.fromkeys([self.low, self.high]))

    def grid(self) -> list[Value]:
        """The design's points."""
        if self.points is None:
            raise ValueError("a float in an `estimate` design needs `points`, e.g. points: 3")
        if self.points == 1:
            return [self.low]
        space = np.geomspace if self.log else np.linspace
        return [float(f"{value:.6g}") for value in space(self.low, self.high, self.points)]


class Int(Block):
    """A whole number in [low, high], uniform or log-uniform."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    step: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Int:
        _check_range(self.low, self.high, log=self.log)
        if self.log and self.step != 1:
            raise ValueError("step: must be 1 where log is true")
        return self

    def corners(self) -> list[Value]:
        """The extremes."""
        return list(dict.fromkeys([self.low, self.high]))

    def grid(self) -> list[Value]:
        """Every value."""
        return list(range(self.low, self.high + 1, self.step))


class Choice(Block):
    """One of the values of ``of``: scalars, or whole blocks such as ``{kind: greedy}``."""

    kind: Literal["choice"] = "choice"
    of: tuple[Any, ...] = Field(min_length=1)

    def label(self, option: Any) -> Value:
        """How an option is written in params: a scalar as it is, a block as JSON."""
        return option if isinstance(option, (str, int, float)) else json.dumps(option, sort_keys=True)

    def option(self, label: Value) -> Any:
        """The option of a label."""
        return next((option for option in self.of if self.label(option) == label), label)

    def corners(self) -> list[Value]:
        """Every option."""
        return self.grid()

    def grid(self) -> list[Value]:
        """Every option."""
        return [self.label(option) for option in self.of]


class Subset(Block):
    """A set of languages, ``min_size`` to ``max_size`` of ``of``; written as a label such as ``"de+hi"``."""

    kind: Literal["subset"] = "subset"
    of: tuple[str, ...] = Field(min_length=1)
    min_size: int = Field(1, ge=1)
    max_size: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Subset:
        if len(set(self.of)) != len(self.of):
            raise ValueError(f"of: a language is named twice: {', '.join(self.of)}")
        if any(SUBSET_SIGN in name for name in self.of):
            raise ValueError(f"of: a language's code must not hold {SUBSET_SIGN!r}")
        if self.min_size > self.largest:
            raise ValueError(f"min_size: must be <= {self.largest}, the largest set, got {self.min_size}")
        return self

    @property
    def largest(self) -> int:
        """The size of the largest set."""
        return len(self.of) if self.max_size is None else min(self.max_size, len(self.of))

    def corners(self) -> list[Value]:
        """Every smallest set, and a largest one."""
        sets = [*itertools.combinations(sorted(self.of), self.min_size)]
        return [SUBSET_SIGN.join(s) for s in dict.fromkeys([*sets, tuple(sorted(self.of)[: self.largest])])]

    def grid(self) -> list[Value]:
        """Every set, small ones first."""
        sizes = range(self.min_size, self.largest + 1)
        return [SUBSET_SIGN.join(s) for size in sizes for s in itertools.combinations(sorted(self.of), size)]


Dimension = Annotated[Float | Int | Choice | Subset, Field(discriminator="kind")]
Space = Mapping[str, Dimension]
Params = dict[str, Value]


def _check_range(low: float, high: float, *, log: bool) -> None:
    if not low <= high:
        raise ValueError(f"low, high: need low <= high, got {{low={low}}}, {{high={high}}}")
    if log and low <= 0:
        raise ValueError(f"low: must be > 0 where log is true, got {low}")


def corners(space: Mapping[str, Float | Int | Choice | Subset], limit: int = 4096) -> Iterator[Params]:
    """Every combination of extremes; where there are more than ``limit``, each dimension's extremes alone."""
    extremes = {path: dimension.corners() for path, dimension in space.items()}
    if np.prod([len(values) for values in extremes.values()], dtype=float) <= limit:
        yield from (dict(zip(extremes, values, strict=True)) for values in itertools.product(*extremes.values()))
    else:
        yield from ({path: value} for path, values in extremes.items() for value in values)


def grid(space: Mapping[str, Float | Int | Choice | Subset]) -> list[Params]:
    """The full factorial design, the last dimension fastest."""
    points = {path: dimension.grid() for path, dimension in space.items()}
    return [dict(zip(points, values, strict=True)) for values in itertools.product(*points.values())]
