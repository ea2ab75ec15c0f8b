"""The interface of optimal-transport solvers.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from optical_ray.ot.cost import CostKind, cost_matrix
from optical_ray.ot.transport import Transport
from optical_ray.registry import Configurable


class Solver(Configurable, ABC):
    """A solver of optimal-transport problems: a frozen dataclass with a ``kind``, called on costs and weights.

    ``cost_fields`` names the fields that are measured in units of the cost, such as a regularisation.
    """

    kind: str
    cost_fields: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> Transport:
        """Solve each problem of a batch, independently of the others.

        ``a`` and ``b`` are the masses of the rows and columns; zero marks padding. A problem without mass on one side
        has the zero plan. Costs are finite, at padding too.
        """

    def solve_embeddings(
        self,
        x: Float[Tensor, "B M D"],
        y: Float[Tensor, "B N D"],
        x_mask: Bool[Tensor, "B M"],
        y_mask: Bool[Tensor, "B N"],
        a: Float[Tensor, "B M"],
        b: Float[Tensor, "B N"],
        cost: CostKind,
    ) -> Transport:
        """Solve the problems between token embeddings; the value is differentiable with respect to both sides.

        Builds the cost matrix and calls the solver. Override it to avoid the matrix.
        """
        return self(cost_matrix(x, y, x_mask, y_mask, cost), a, b)

    def rescaled(self, factor: float) -> Solver:
        """Return the solver that has, for costs multiplied by ``factor``, the plans that this one has.

        >>> from optical_ray.ot.solvers.sinkhorn import Sinkhorn
        >>> Sinkhorn(epsilon=0.1).rescaled(2.0) == Sinkhorn(epsilon=0.2)
        True
        """
        values = {name: getattr(self, name) for name in self.cost_fields}
        scaled = {name: factor * value for name, value in values.items() if value is not None}
        rescaled: Solver = replace(self, **scaled)  # type: ignore[type-var]
        return rescaled
