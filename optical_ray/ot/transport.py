"""The result of every optimal-transport solver.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens. A single problem has no axis ``B``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Transport:
    """Transport plans, their costs, and how closely they meet the marginals.

    ``plan`` (B, M, N): the plan P, zero wherever a weight is zero; constant to autograd unless the solver documents
    otherwise. ``value`` (B,): <P, C>, differentiable with respect to the cost C; with a constant plan its gradient is
    P. ``marginal_error`` (B,): the L1 distance |P 1 - a| + |P' 1 - b|, or None if the plan does not have to meet the
    marginals (unbalanced transport). ``diagnostics``: further numbers (B,) by name, such as ``iterations``.
    """

    plan: Float[Tensor, "*B M N"]
    value: Float[Tensor, "*B"]
    marginal_error: Float[Tensor, "*B"] | None
    diagnostics: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def from_plan(
        cls,
        plan: Float[Tensor, "B M N"],
        cost: Float[Tensor, "B M N"],
        a: Float[Tensor, "B M"],
        b: Float[Tensor, "B N"],
    ) -> Transport:
        """Build the result of a solver that treats its plan as constant and that meets the marginals ``a`` and ``b``.

        Cells without weight become zero, and so does the whole plan of a problem without weight on one side, whatever
        ``plan`` holds there.

        >>> cost, half = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.full((1, 2), 0.5)
        >>> transport = Transport.from_plan(half[:, :, None] * half[:, None, :], cost, half, half)
        >>> transport.value.item(), transport.marginal_error.item()
        (0.5, 0.0)
        """
        has_weight = (a > 0)[:, :, None] & (b > 0)[:, None, :]
        plan = torch.where(has_weight, plan.detach(), 0).to(cost.dtype)
        solved = has_weight.flatten(1).any(1)
        error = (plan.sum(2) - a).abs().sum(1) + (plan.sum(1) - b).abs().sum(1)
        return cls(plan=plan, value=(plan * cost).sum((1, 2)), marginal_error=torch.where(solved, error, 0).detach())
