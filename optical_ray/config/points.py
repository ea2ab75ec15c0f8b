"""How many configurations a search space holds."""

from __future__ import annotations

from math import comb

from optical_ray.config.space import AnyDimension, Choice, Float, Space, Subset


def num_points(space: Space) -> int | None:
    """The number of distinct configurations; None if a dimension is a range of real numbers.

    >>> from optical_ray.config.space import Int, Subset
    >>> num_points({"data.source_languages": Subset(of=("de", "hi", "mr"), max_size=2), "n": Int(low=1, high=2)})
    12
    """
    total = 1
    for path, dimension in space.items():
        size = _size(dimension, path)
        if size is None:
            return None
        total *= size
    return total


def _size(dimension: AnyDimension, path: str) -> int | None:
    if isinstance(dimension, Float):
        return None
    if isinstance(dimension, Subset) and dimension.design == "lattice":
        return sum(comb(len(dimension.of), size) for size in range(dimension.min_size, dimension.largest + 1))
    if not isinstance(dimension, Choice):
        return len(dimension.grid())
    sizes = [num_points(dimension.inner(label, path)) for label in dimension.grid()]
    return None if None in sizes else sum(size for size in sizes if size is not None)
