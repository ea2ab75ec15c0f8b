"""Greedy alignment: pull each student token towards the teacher token that it is matched with.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from optical_ray.losses.interface import Loss, LossOutput
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class Greedy(Loss):
    """Mean over pairs of the mean over matched tokens of |x_i - y_j|^2.

    Tokens are matched one to one, the most similar first, until the shorter side is used up. The matching is constant
    to the gradient. Source: token alignment of Li et al., NAACL 2022 (Dr.DECR, arXiv 2112.08185), section 2; unlike
    there, padding is not matched and sides are not cut to the same length.
    """

    kind: Literal["greedy"] = "greedy"

    def compute(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        x, y = student, teacher
        real = x.mask[:, :, None] & y.mask[:, None, :]
        similarity = torch.bmm(x.vectors, y.vectors.transpose(1, 2))
        matched = match(similarity.detach(), real).to(similarity.dtype)
        norms = x.vectors.square().sum(-1)[:, :, None] + y.vectors.square().sum(-1)[:, None, :]
        distances = (matched * (norms - 2 * similarity)).sum((1, 2)) / matched.sum((1, 2)).clamp_min(1)
        return LossOutput(distances.mean(), {"greedy/similarity": _mean_similarity(similarity.detach(), matched)})


def match(similarity: Float[Tensor, "B M N"], allowed: Bool[Tensor, "B M N"]) -> Bool[Tensor, "B M N"]:
    """One-to-one matching that repeatedly takes the largest allowed similarity, the first in row order on a tie.

    A cell that is the best of both its row and its column is always taken, so each round takes all such cells of all
    pairs at once; a few rounds replace min(M, N) steps.
    """
    open_cells = allowed.clone()
    matched = torch.zeros_like(allowed)
    while bool(open_cells.any()):
        remaining = similarity.masked_fill(~open_cells, -torch.inf)
        best_of_row = torch.zeros_like(allowed).scatter_(2, remaining.argmax(2, keepdim=True), value=True)
        best_of_column = torch.zeros_like(allowed).scatter_(1, remaining.argmax(1, keepdim=True), value=True)
        taken = best_of_row & best_of_column & open_cells
        matched |= taken
        open_cells &= ~(taken.any(2, keepdim=True) | taken.any(1, keepdim=True))
    return matched


def _mean_similarity(similarity: Float[Tensor, "B M N"], matched: Float[Tensor, "B M N"]) -> Float[Tensor, ""]:
    return (similarity * matched).sum() / matched.sum().clamp_min(1)
