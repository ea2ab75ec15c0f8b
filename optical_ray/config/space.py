"""The search space: a dimension for each of some dotted paths into the trial."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from optical_ray.config.choices import Block
from optical_ray.config.trial import SUBSET_SIGN
from optical_ray.data.languages import Language

Value = float | int | str
Design = Literal["lattice", "leave_one_out", "orders"]


class Float(Block):
    """A real number in [low, high], uniform or log-uniform; ``points``: the number of values in mode ``estimate``."""

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
    """An integer in [low, high], uniform or log-uniform."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    step: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Int:
        _check_range(self.low, self.high, log=self.log)
        if self.log and self.step != 1:
            raise ValueError(f"step: must be 1 if log is true, got {self.step}")
        return self

    def corners(self) -> list[Value]:
        """The extremes."""
        return list(dict.fromkeys([self.low, self.high]))

    def grid(self) -> list[Value]:
        """Every value."""
        return list(range(self.low, self.high + 1, self.step))


class Choice(Block):
    """One of the values of ``of``: scalars, or whole blocks such as ``{kind: greedy}``.

    A block may contain dimensions, which exist only if the block is chosen:
    ``{kind: optimal_transport, solver: {kind: sinkhorn, epsilon: {kind: float, low: 0.01, high: 1.0, log: true}}}``.
    """

    kind: Literal["choice"] = "choice"
    of: tuple[Any, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Choice:
        labels = [self.label(option) for option in self.of]
        if len(set(labels)) != len(labels):
            raise ValueError(f"of: an option occurs twice: {', '.join(map(str, labels))}")
        for option in self.of:
            _separate(option, "")
        return self

    def label(self, option: Any) -> Value:
        """The option in params: a scalar itself, a block's ``kind`` if no other block has it, otherwise JSON."""
        if isinstance(option, (str, int, float)):
            return option
        kinds = [other.get("kind") for other in self.of if isinstance(other, dict)]
        if isinstance(option, dict) and "kind" in option and kinds.count(option["kind"]) == 1:
            return str(option["kind"])
        return json.dumps(option, sort_keys=True)

    def option(self, label: Value) -> Any:
        """The option of a label, without the dimensions in it."""
        return _separate(self._option(label), "")[0]

    def inner(self, label: Value, path: str) -> dict[str, AnyDimension]:
        """The dimensions in the option of a label, by path; ``path`` is that of the choice itself."""
        return _separate(self._option(label), path)[1]

    def _option(self, label: Value) -> Any:
        return next((option for option in self.of if self.label(option) == label), label)

    def corners(self) -> list[Value]:
        """Every option."""
        return self.grid()

    def grid(self) -> list[Value]:
        """Every option."""
        return [self.label(option) for option in self.of]


class Subset(Block):
    """A set of languages, ``min_size`` to ``max_size`` of ``of``; written as a label such as ``"de+hi"``.

    ``design`` selects the sets: ``lattice``: all sets; ``leave_one_out``: single languages, all but one, and all;
    ``orders``: the prefixes of ``orders`` random orders of the languages (default 2) and of their reverses, which give
    an unbiased estimate of the Shapley value (Castro, Gomez and Tejada 2009) unless ``max_size`` removes some of them.
    The designs are balanced: in the first two, every language is in the same number of sets; in the third, every
    language is added to a set equally often.
    """

    kind: Literal["subset"] = "subset"
    of: tuple[Language, ...] = Field(min_length=1)
    min_size: int = Field(1, ge=1)
    max_size: int | None = Field(None, ge=1)
    design: Design = Field("lattice", json_schema_extra={"since": 2})
    orders: int | None = Field(None, ge=1, json_schema_extra={"since": 2})

    @model_validator(mode="after")
    def _ordered(self) -> Subset:
        if len(set(self.of)) != len(self.of):
            raise ValueError(f"of: a language occurs twice: {', '.join(self.of)}")
        if any(SUBSET_SIGN in name for name in self.of):
            raise ValueError(f"of: a language's code must not contain {SUBSET_SIGN!r}, got {', '.join(self.of)[:200]}")
        if self.min_size > self.largest:
            raise ValueError(f"min_size: must be <= {self.largest}, the largest set, got {self.min_size}")
        if self.orders is not None and self.design != "orders":
            raise ValueError(
                f"orders: needs design: orders, got design: {self.design}. Change the design or leave out orders."
            )
        if not self._sets_by_size():
            raise ValueError(f"design: {self.design} has no set of {self.min_size} to {self.largest} languages")
        return self

    @property
    def largest(self) -> int:
        """The size of the largest set."""
        return len(self.of) if self.max_size is None else min(self.max_size, len(self.of))

    def corners(self) -> list[Value]:
        """Every smallest set, and a largest one."""
        smallest, *others = self._sets_by_size()
        largest = itertools.islice(others[-1], 1) if others else ()
        return [SUBSET_SIGN.join(languages) for languages in itertools.chain(smallest, largest)]

    def grid(self) -> list[Value]:
        """Every set of the design, small ones first."""
        return [SUBSET_SIGN.join(languages) for languages in itertools.chain(*self._sets_by_size())]

    def _sets_by_size(self) -> list[Iterable[tuple[str, ...]]]:
        """The sets of each size that the design has, small ones first; a lattice is too large to build all of them."""
        names, size = sorted(self.of), len(self.of)
        if self.design == "orders":
            prefixes = _prefixes(names, 2 if self.orders is None else self.orders)
            groups = {length: list(group) for length, group in itertools.groupby(prefixes, key=len)}
            return [group for length, group in groups.items() if self.min_size <= length <= self.largest]
        sizes = range(1, size + 1) if self.design == "lattice" else sorted({1, size - 1, size} - {0})
        return [itertools.combinations(names, length) for length in sizes if self.min_size <= length <= self.largest]


def _prefixes(names: list[str], num_orders: int) -> list[tuple[str, ...]]:
    """The distinct prefixes of random orders and of their reverses, small ones first."""
    random = np.random.default_rng(0)
    orders = [[names[index] for index in random.permutation(len(names))] for _ in range(num_orders)]
    both = [direction for order in orders for direction in (order, order[::-1])]
    prefixes = {tuple(sorted(order[:length])) for order in both for length in range(1, len(names) + 1)}
    return sorted(prefixes, key=lambda languages: (len(languages), languages))


AnyDimension = Float | Int | Choice | Subset
Dimension = Annotated[AnyDimension, Field(discriminator="kind")]
Space = Mapping[str, AnyDimension]
Params = dict[str, Value]

KINDS: dict[str, type[AnyDimension]] = {"float": Float, "int": Int, "choice": Choice, "subset": Subset}
DIMENSION_FIELDS = {"low", "high", "of"}
"""Fields that tell a dimension from another block with the same kind."""


def _separate(option: Any, path: str) -> tuple[Any, dict[str, AnyDimension]]:
    """Return a block without the dimensions in it, and these by path; items of a list are numbered from 0."""
    inner: dict[str, AnyDimension] = {}
    if isinstance(option, (list, tuple)):
        parts = [_separate(value, f"{path}.{index}" if path else str(index)) for index, value in enumerate(option)]
        return [part for part, _ in parts], {where: item for _, deeper in parts for where, item in deeper.items()}
    if not isinstance(option, dict):
        return option, {}
    plain: dict[str, Any] = {}
    for key, value in option.items():
        where = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value.get("kind") in KINDS and DIMENSION_FIELDS & value.keys():
            try:
                inner[where] = KINDS[value["kind"]].model_validate(value)
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join([where, *map(str, first["loc"])])
                raise ValueError(f"of: {field}: {first['msg'].removeprefix('Value error, ')}") from error
        else:
            plain[key], deeper = _separate(value, where)
            inner |= deeper
    return plain, inner


def _check_range(low: float, high: float, *, log: bool) -> None:
    if not low <= high:
        raise ValueError(f"low, high: need low <= high, got {{low={low}}}, {{high={high}}}")
    if log and low <= 0:
        raise ValueError(f"low: must be > 0 if log is true, got {low}")


def active(space: Space, params: Mapping[str, Value]) -> dict[str, AnyDimension]:
    """The dimensions that exist under ``params``: those of the space, and those in the chosen blocks."""
    dimensions = dict(space)
    for path, dimension in space.items():
        if isinstance(dimension, Choice) and path in params:
            dimensions |= active(dimension.inner(params[path], path), params)
    return dimensions


def dimensions(space: Space) -> Iterator[tuple[str, AnyDimension]]:
    """Every dimension with its path, including those in blocks."""
    for path, dimension in space.items():
        yield path, dimension
        if isinstance(dimension, Choice):
            for label in dimension.grid():
                yield from dimensions(dimension.inner(label, path))


def corners(space: Space, limit: int = 4096) -> Iterator[Params]:
    """Every combination of extremes; if there are more than ``limit``, the extremes of one dimension at a time."""
    extremes = {path: dimension.corners() for path, dimension in space.items()}
    if np.prod([len(values) for values in extremes.values()], dtype=float) <= limit:
        yield from _product(space, lambda dimension: dimension.corners())
    else:
        for path, dimension in space.items():
            yield from _product({path: dimension}, lambda dimension: dimension.corners())


def grid(space: Space) -> list[Params]:
    """The full factorial design, the last dimension fastest; dimensions in a block vary only where it is chosen."""
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
