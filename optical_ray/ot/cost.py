"""Ground costs between the tokens of two clouds.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

CostKind = Literal["cosine", "squared_euclidean", "centred_cosine"]


def cost_matrix(
    x: Float[Tensor, "B M D"],
    y: Float[Tensor, "B N D"],
    x_mask: Bool[Tensor, "B M"],
    y_mask: Bool[Tensor, "B N"],
    kind: CostKind = "cosine",
) -> Float[Tensor, "B M N"]:
    """Cost of moving each token of ``x`` onto each token of ``y``, pair by pair.

    ``cosine``: 1 - <x_i, y_j>, for unit vectors, in [0, 2]. ``squared_euclidean``: |x_i - y_j|^2, which on unit
    vectors is twice the cosine cost (so it has the same plan at twice the epsilon). ``centred_cosine``: the cosine
    cost after each cloud has lost its mean over real tokens (Mu and Viswanath, ICLR 2018, "All-but-the-top",
    first step); a cloud of one token has no direction left and costs 1 to everything. Cells of padding hold some
    finite number.

    >>> one = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> real = torch.ones(1, 2, dtype=torch.bool)
    >>> cost_matrix(one, one, real, real).tolist()
    [[[0.0, 1.0], [1.0, 0.0]]]
    >>> cost_matrix(one, one, real, real, "squared_euclidean").tolist()
    [[[0.0, 2.0], [2.0, 0.0]]]
    >>> cost_matrix(one, one, real, real, "centred_cosine").round().tolist()
    [[[0.0, 2.0], [2.0, 0.0]]]
    """
    match kind:
        case "cosine":
            return cosine(x, y)
        case "squared_euclidean":
            return squared_euclidean(x, y)
        case "centred_cosine":
            return cosine(centre(x, x_mask), centre(y, y_mask))


def cosine(x: Float[Tensor, "B M D"], y: Float[Tensor, "B N D"]) -> Float[Tensor, "B M N"]:
    """1 - <x_i, y_j>: the cosine distance of unit vectors."""
    return 1 - torch.bmm(x, y.transpose(1, 2))


def squared_euclidean(x: Float[Tensor, "B M D"], y: Float[Tensor, "B N D"]) -> Float[Tensor, "B M N"]:
    """|x_i|^2 + |y_j|^2 - 2 <x_i, y_j>, kept from falling below zero by rounding."""
    norms = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None, :]
    return (norms - 2 * torch.bmm(x, y.transpose(1, 2))).clamp_min(0)


def centre(x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
    """Unit vectors of ``x`` minus its mean over real tokens; zero at padding."""
    weights = mask[:, :, None].to(x.dtype)
    mean = (x * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True).clamp_min(1)
    return functional.normalize((x - mean) * weights, dim=-1, eps=1e-6)
