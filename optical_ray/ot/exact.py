"""Exact transport, one pair after another: slow, and what everything else is measured against.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class ExactOutput:
    """``plan`` (B, M, N), a constant; ``value`` (B,) = <plan, cost>, differentiable in the cost."""

    plan: Float[Tensor, "B M N"]
    value: Float[Tensor, " B"]


def exact(cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> ExactOutput:
    """argmin_P <P, C> over P >= 0 with P 1 = a and P' 1 = b, by POT's network simplex in float64.

    Weights of zero are padding; a pair with no weight on a side gets the zero plan. The gradient of the value is the
    plan (Danskin), a subgradient where several plans are optimal. Source: Bonneel et al., SIGGRAPH Asia 2011.

    >>> cost = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> half = torch.full((1, 2), 0.5)
    >>> exact(cost, half, half).plan.tolist()
    [[[0.5, 0.0], [0.0, 0.5]]]
    """
    import ot  # POT loads every array library that it finds, which costs seconds: only who asks for it waits

    plan = torch.zeros_like(cost, requires_grad=False)
    costs, rows, columns = (x.detach().double().cpu() for x in (cost, a, b))
    for pair in range(len(cost)):
        i, j = rows[pair].nonzero()[:, 0], columns[pair].nonzero()[:, 0]
        if len(i) and len(j):
            weights = [w / w.sum() for w in (rows[pair, i], columns[pair, j])]
            solved = ot.emd(*(w.numpy() for w in weights), costs[pair][i][:, j].contiguous().numpy())
            cells = torch.from_numpy(solved) * rows[pair].sum()
            plan[pair, i[:, None].to(plan.device), j.to(plan.device)] = cells.to(plan)
    return ExactOutput(plan, (plan * cost).sum((1, 2)))
