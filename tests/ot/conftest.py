"""Random ragged batches of transport problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Problems:
    """Padded costs and weights of pairs, and the true extents (rows, columns) of each."""

    cost: Tensor
    a: Tensor
    b: Tensor
    sizes: list[tuple[int, int]]

    def alone(self, pair: int) -> tuple[Tensor, Tensor, Tensor]:
        """The problem of one pair, without padding."""
        m, n = self.sizes[pair]
        return self.cost[pair, :m, :n], self.a[pair, :m], self.b[pair, :n]


def draw(sizes: list[tuple[int, int]], *, seed: int = 0, dim: int = 16, uniform: bool = True) -> Problems:
    """Cosine costs of random unit vectors in float64, zero vectors at padding, weights of sum one."""
    generator = torch.Generator().manual_seed(seed)
    sides = []
    for lengths in zip(*sizes, strict=True):
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        vectors = torch.randn(len(sizes), max(lengths), dim, generator=generator, dtype=torch.float64)
        weights = torch.rand(mask.shape, generator=generator, dtype=torch.float64) + 0.1
        weights = mask * (torch.ones_like(weights) if uniform else weights)
        sides.append((functional.normalize(vectors, dim=-1) * mask[:, :, None], weights / weights.sum(1, keepdim=True)))
    (x, a), (y, b) = sides
    return Problems(1 - x @ y.transpose(1, 2), a, b, sizes)


@pytest.fixture(scope="session")
def ragged() -> Callable[..., Problems]:
    """A function of the sizes: ``ragged([(3, 4), (5, 2)], seed=1, uniform=False)``."""
    return draw
