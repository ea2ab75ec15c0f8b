"""The search space: dotted paths into the trial, each with a dimension."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from optical_ray.config.choices import Block
from optical_ray.config.trial import SUBSET_SIGN

Value = float | int | str
Design = Literal["lattice", "leave_one_out", "orders"]


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
        assert self.points is not None, "an experiment in mode `estimate` has checked this"
        if self.points == 1:
            return [self.low]
        space = np.geomspace if self.log else np.linspace
        inner = [float(f"{value:.6g}") for value in space(self.low, self.high, self.points)[1:-1]]
        return [self.low, *(min(max(value, self.low), self.high) for value in inner), self.high]


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
    """One of the values of ``of``: scalars, or whole blocks such as ``{kind: greedy}``.

    A block may hold dimensions of its own, which exist only where it is chosen:
    ``{kind: optimal_transport, solver: {kind: sinkhorn, epsilon: {kind: float, low: 0.01, high: 1.0, log: true}}}``.
    """

    kind: Literal["choice"] = "choice"
    of: tuple[Any, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Choice:
        labels = [self.label(option) for option in self.of]
        if len(set(labels)) != len(labels):
            raise ValueError(f"of: an option is there twice: {', '.join(map(str, labels))}")
        for option in self.of:
            _parted(option, "")
        return self

    def label(self, option: Any) -> Value:
        """How an option is written in params: a scalar as it is, a block by its ``kind`` where that tells it apart."""
        if isinstance(option, (str, int, float)):
            return option
        kinds = [other.get("kind") for other in self.of if isinstance(other, dict)]
        if isinstance(option, dict) and "kind" in option and kinds.count(option["kind"]) == 1:
            return str(option["kind"])
        return json.dumps(option, sort_keys=True)

    def option(self, label: Value) -> Any:
        """The option of a label, without the dimensions that it holds."""
        found = next((option for option in self.of if self.label(option) == label), label)
        return _parted(found, "")[0]

    def inner(self, label: Value, path: str) -> dict[str, AnyDimension]:
        """The dimensions that exist where ``label`` is chosen, by their path; the choice itself lies at ``path``."""
        found = next((option for option in self.of if self.label(option) == label), label)
        return _parted(found, path)[1]

    def corners(self) -> list[Value]:
        """Every option."""
        return self.grid()

    def grid(self) -> list[Value]:
        """Every option."""
        return [self.label(option) for option in self.of]


class Subset(Block):
    """A set of languages, ``min_size`` to ``max_size`` of ``of``; written as a label such as ``"de+hi"``.

    ``design`` says which sets there are: ``lattice`` all of them; ``leave_one_out`` single languages, all but one, and
    all; ``orders`` the prefixes of ``orders`` random orders of the languages (2 unless given) and of the same orders
    backwards, which average to an unbiased Shapley value (Castro, Gomez and Tejada 2009) unless ``max_size`` cuts them
    off. Every language is in as many sets as any other
    in the first two, and in as many steps "without it, with it" in the third.
    """

    kind: Literal["subset"] = "subset"
    of: tuple[str, ...] = Field(min_length=1)
    min_size: int = Field(1, ge=1)
    max_size: int | None = Field(None, ge=1)
    design: Design = Field("lattice", json_schema_extra={"since": 2})
    orders: int | None = Field(None, ge=1, json_schema_extra={"since": 2})

    @model_validator(mode="after")
    def _ordered(self) -> Subset:
        if len(set(self.of)) != len(self.of):
            raise ValueError(f"of: a language is named twice: {', '.join(self.of)}")
        if any(SUBSET_SIGN in name for name in self.of):
            raise ValueError(f"of: a language's code must not hold {SUBSET_SIGN!r}")
        if self.min_size > self.largest:
            raise ValueError(f"min_size: must be <= {self.largest}, the largest set, got {self.min_size}")
        if self.orders is not None and self.design != "orders":
            raise ValueError(f"orders: is read by design: orders alone, got design: {self.design}")
        if not self._sets():
            raise ValueError(f"design: {self.design} has no set of {self.min_size} to {self.largest} languages")
        return self

    @property
    def largest(self) -> int:
        """The size of the largest set."""
        return len(self.of) if self.max_size is None else min(self.max_size, len(self.of))

    def corners(self) -> list[Value]:
        """Every smallest set, and a largest one."""
        sizes = [len(languages) for languages in self._sets()]
        return [
            SUBSET_SIGN.join(languages)
            for place, languages in enumerate(self._sets())
            if len(languages) == sizes[0] or place == sizes.index(sizes[-1])
        ]

    def grid(self) -> list[Value]:
        """Every set of the design, small ones first."""
        return [SUBSET_SIGN.join(languages) for languages in self._sets()]

    def _sets(self) -> list[tuple[str, ...]]:
        names, size = sorted(self.of), len(self.of)
        if self.design == "orders":
            found = _prefixes(names, self.orders or 2)
        else:
            sizes = range(1, size + 1) if self.design == "lattice" else sorted({1, size - 1, size} - {0})
            found = [languages for length in sizes for languages in itertools.combinations(names, length)]
        return [languages for languages in found if self.min_size <= len(languages) <= self.largest]


def _prefixes(names: list[str], num_orders: int) -> list[tuple[str, ...]]:
    """The distinct prefixes of random orders and of their reverses, small ones first."""
    random = np.random.default_rng(0)
    orders = [[names[place] for place in random.permutation(len(names))] for _ in range(num_orders)]
    both = [direction for order in orders for direction in (order, order[::-1])]
    prefixes = {tuple(sorted(order[:length])) for order in both for length in range(1, len(names) + 1)}
    return sorted(prefixes, key=lambda languages: (len(languages), languages))


AnyDimension = Float | Int | Choice | Subset
Dimension = Annotated[AnyDimension, Field(discriminator="kind")]
Space = Mapping[str, AnyDimension]
Params = dict[str, Value]

KINDS: dict[str, type[AnyDimension]] = {"float": Float, "int": Int, "choice": Choice, "subset": Subset}
SIGNS = {"low", "high", "of"}


def _parted(option: Any, path: str) -> tuple[Any, dict[str, AnyDimension]]:
    """A block without its dimensions, and those by their path; the parts of a list are numbered from 0."""
    inner: dict[str, AnyDimension] = {}
    if isinstance(option, (list, tuple)):
        parts = [_parted(value, f"{path}.{place}" if path else str(place)) for place, value in enumerate(option)]
        return [part for part, _ in parts], {where: found for _, deeper in parts for where, found in deeper.items()}
    if not isinstance(option, dict):
        return option, {}
    plain: dict[str, Any] = {}
    for key, value in option.items():
        where = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value.get("kind") in KINDS and SIGNS & value.keys():
            try:
                inner[where] = KINDS[value["kind"]].model_validate(value)
            except ValidationError as error:
                said = error.errors()[0]
                place = ".".join([where, *map(str, said["loc"])])
                raise ValueError(f"of: {place}: {said['msg'].removeprefix('Value error, ')}") from error
        else:
            plain[key], deeper = _parted(value, where)
            inner |= deeper
    return plain, inner


def _check_range(low: float, high: float, *, log: bool) -> None:
    if not low <= high:
        raise ValueError(f"low, high: need low <= high, got {{low={low}}}, {{high={high}}}")
    if log and low <= 0:
        raise ValueError(f"low: must be > 0 where log is true, got {low}")


def active(space: Space, params: Mapping[str, Value]) -> dict[str, AnyDimension]:
    """The dimensions that exist under ``params``: those of the space, and those inside of the chosen blocks."""
    dimensions = dict(space)
    for path, dimension in space.items():
        if isinstance(dimension, Choice) and path in params:
            dimensions |= active(dimension.inner(params[path], path), params)
    return dimensions


def dimensions(space: Space) -> Iterator[tuple[str, AnyDimension]]:
    """Every dimension with its path, those inside of blocks too."""
    for path, dimension in space.items():
        yield path, dimension
        if isinstance(dimension, Choice):
            for label in dimension.grid():
                yield from dimensions(dimension.inner(label, path))


def corners(space: Space, limit: int = 4096) -> Iterator[Params]:
    """Every combination of extremes; where there are more than ``limit``, each dimension's extremes alone."""
    extremes = {path: dimension.corners() for path, dimension in space.items()}
    if np.prod([len(values) for values in extremes.values()], dtype=float) <= limit:
        yield from _product(space, lambda dimension: dimension.corners())
    else:
        for path, dimension in space.items():
            yield from _product({path: dimension}, lambda dimension: dimension.corners())


def grid(space: Space) -> list[Params]:
    """The full factorial design, the last dimension fastest; a chosen block's own dimensions stay inside of it."""
    return list(_product(space, lambda dimension: dimension.grid()))


def _product(space: Space, points: Callable[[AnyDimension], list[Value]]) -> Iterator[Params]:
    if not space:
        yield {}
        return
    (path, dimension), *others = space.items()
    for value in points(dimension):
        inner = dimension.inner(value, path) if isinstance(dimension, Choice) else {}
        for rest in _product({**inner, **dict(others)}, points):
            yield {path: value, **rest}
