"""Costs between token embeddings.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

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
    """Cost of moving each token of ``x`` to each token of ``y``, for each pair.

    ``cosine``: 1 - <x_i, y_j> for unit vectors, in [0, 2]. ``squared_euclidean``: |x_i - y_j|^2. ``centred_cosine``:
    the cosine cost after each text's own mean token vector is subtracted from its tokens. This removes what the
    tokens of a text have in common, its topic included; a text of one token costs 1 to everything. Cells of padding
    are finite.

    >>> axes = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> real = torch.ones(1, 2, dtype=torch.bool)
    >>> cost_matrix(axes, axes, real, real).tolist()
    [[[0.0, 1.0], [1.0, 0.0]]]
    >>> cost_matrix(axes, axes, real, real, "squared_euclidean").tolist()
    [[[0.0, 2.0], [2.0, 0.0]]]
    >>> cost_matrix(axes, axes, real, real, "centred_cosine").round().tolist()
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
    """|x_i|^2 + |y_j|^2 - 2 <x_i, y_j>, clamped at zero against rounding errors."""
    norms = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None, :]
    return (norms - 2 * torch.bmm(x, y.transpose(1, 2))).clamp_min(0)


def centre(x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
    """Subtract each text's mean over real tokens and normalise to unit length; padding becomes zero."""
    weights = mask[:, :, None].to(x.dtype)
    mean = (x * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True).clamp_min(1)
    return functional.normalize((x - mean) * weights, dim=-1, eps=1e-6)


class BilinearCost(NamedTuple):
    """A cost as C_ij = p_i + q_j - scale <x_i, y_j>, from which a kernel can compute cells without a cost matrix."""

    x: Float[Tensor, "B M D"]
    y: Float[Tensor, "B N D"]
    p: Float[Tensor, "B M"]
    q: Float[Tensor, "B N"]
    scale: float


def bilinear_cost(
    x: Float[Tensor, "B M D"],
    y: Float[Tensor, "B N D"],
    x_mask: Bool[Tensor, "B M"],
    y_mask: Bool[Tensor, "B N"],
    kind: CostKind,
) -> BilinearCost:
    """The cells of ``cost_matrix`` in bilinear form, without computing them."""
    match kind:
        case "cosine":
            return BilinearCost(x, y, x.new_ones(x.shape[:2]), y.new_zeros(y.shape[:2]), 1.0)
        case "squared_euclidean":
            return BilinearCost(x, y, x.square().sum(-1), y.square().sum(-1), 2.0)
        case "centred_cosine":
            return bilinear_cost(centre(x, x_mask), centre(y, y_mask), x_mask, y_mask, "cosine")


def canonical_cost(kind: CostKind) -> tuple[float, CostKind]:
    """A factor and a cost whose product is ``kind`` for unit vectors; equal up to a factor means the same cost here.

    The squared Euclidean distance of unit vectors is twice their cosine cost.

    >>> canonical_cost("squared_euclidean")
    (2.0, 'cosine')
    """
    return (2.0, "cosine") if kind == "squared_euclidean" else (1.0, kind)
