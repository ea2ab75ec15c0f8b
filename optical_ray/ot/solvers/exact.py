"""Exact optimal transport by the network simplex: slow, and the reference for the other solvers.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.ot.solvers.interface import Solver
from optical_ray.ot.transport import Transport


@dataclass(frozen=True)
class Exact(Solver):
    """argmin_P <P, C> over P >= 0 with P 1 = a and P' 1 = b, by POT's network simplex in float64.

    Solves one problem after another on the CPU. The gradient of the value is the plan (Danskin's theorem), a
    subgradient if several plans are optimal. Source: Bonneel et al., SIGGRAPH Asia 2011.

    >>> cost = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> half = torch.full((1, 2), 0.5)
    >>> Exact()(cost, half, half).plan.tolist()
    [[[0.5, 0.0], [0.0, 0.5]]]
    """

    kind: Literal["exact"] = "exact"

    def __call__(self, cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> Transport:
        import ot  # POT imports every array library that is installed, which takes seconds

        plan = torch.zeros_like(cost, requires_grad=False)
        costs, rows, columns = (x.detach().double().cpu() for x in (cost, a, b))
        for pair in range(len(cost)):
            i, j = rows[pair].nonzero()[:, 0], columns[pair].nonzero()[:, 0]
            if len(i) and len(j):
                weights = [w / w.sum() for w in (rows[pair, i], columns[pair, j])]
                solution = ot.emd(*(w.numpy() for w in weights), costs[pair][i][:, j].contiguous().numpy())
                cells = torch.from_numpy(solution) * rows[pair].sum()
                plan[pair, i[:, None].to(plan.device), j.to(plan.device)] = cells.to(plan)
        return Transport.from_plan(plan, cost, a, b)
