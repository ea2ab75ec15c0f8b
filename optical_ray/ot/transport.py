"""Entropic transport between two clouds of vectors: from embeddings to plans.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from optical_ray.ot.cost import CostKind, centre, cost_matrix
from optical_ray.ot.sinkhorn import Backend, SinkhornConfig, SinkhornOutput, as_output, fill_empty, fuses, sinkhorn


def transport(
    x: Float[Tensor, "B M D"],
    y: Float[Tensor, "B N D"],
    x_mask: Bool[Tensor, "B M"],
    y_mask: Bool[Tensor, "B N"],
    a: Float[Tensor, "B M"],
    b: Float[Tensor, "B N"],
    kind: CostKind,
    config: SinkhornConfig,
    *,
    backend: Backend = "auto",
) -> SinkhornOutput:
    """``sinkhorn`` on the costs between ``x`` and ``y``, differentiable in both.

    On a GPU (or with ``backend="fused"``) costs are computed where they are used and never written to memory; the
    value is then <P, C> = sum p_i r_i + sum q_j c_j - scale sum <x_i, (P y)_i>, with r and c the plan's marginals,
    which needs no cost matrix to be differentiated either.

    >>> axes, real, half = torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool), torch.full((1, 2), 0.5)
    >>> out = transport(axes, axes, real, real, half, half, "cosine", SinkhornConfig(epsilon=0.1))
    >>> out.plan.round(decimals=3).tolist()
    [[[0.5, 0.0], [0.0, 0.5]]]
    """
    if config.gradient == "unrolled" or not fuses(a, b, config, backend):
        return sinkhorn(cost_matrix(x, y, x_mask, y_mask, kind), a, b, config, backend=backend)
    from optical_ray.ot import fused  # Triton is optional, and slow to load

    match kind:
        case "cosine" | "centred_cosine":
            if kind == "centred_cosine":
                x, y = centre(x, x_mask), centre(y, y_mask)
            p, q, scale = x.new_ones(x.shape[:2]), y.new_zeros(y.shape[:2]), 1.0
        case "squared_euclidean":
            p, q, scale = x.square().sum(-1), y.square().sum(-1), 2.0
    full_a, full_b, empty = fill_empty(a.detach(), b.detach())
    out = as_output(fused.solve_clouds(x, y, p, q, scale, full_a, full_b, config), empty, a, b, config)
    if not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
        return out
    plan = out.plan.to(x.dtype)
    value = (p * plan.sum(2)).sum(1) + (q * plan.sum(1)).sum(1) - scale * (x * torch.bmm(plan, y)).sum((1, 2))
    return replace(out, value=value)
