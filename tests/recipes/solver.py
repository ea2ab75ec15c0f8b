"""A complete solver. As a file in ``optical_ray/ot/solvers/`` it is found by its kind, and no other file changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from optical_ray.ot.solvers.interface import Solver
from optical_ray.ot.transport import Transport


@dataclass(frozen=True)
class Independent(Solver):
    """The plan a b', which ignores the cost: the limit of Sinkhorn's plans for large epsilon."""

    kind: Literal["independent"] = "independent"

    def __call__(self, cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> Transport:
        return Transport.from_plan(a[:, :, None] * b[:, None, :], cost, a, b)
