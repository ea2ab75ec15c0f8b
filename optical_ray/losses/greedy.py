"""Greedy alignment: pull each student token towards the one teacher token that it is matched with.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from optical_ray.losses.interface import Loss, LossOutput, full_precision
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class Greedy(Loss):
    """Mean over pairs of the mean over matched tokens of |x_i - y_j|^2.

    Tokens are matched one to one, the most similar first, until the shorter side is used up; the matching is a
    constant to the gradient. Source: Li et al., NAACL 2022 (Dr.DECR, arXiv 2112.08185), section 2 (token alignment);
    there padding takes part and sides are cut to one length, here neither.
    """

    kind: Literal["greedy"] = "greedy"

    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        with full_precision(student, teacher) as (x, y):
            real = x.mask[:, :, None] & y.mask[:, None, :]
            similarity = torch.bmm(x.vectors, y.vectors.transpose(1, 2))
            matched = match(similarity.detach(), real).to(similarity.dtype)
            norms = x.vectors.square().sum(-1)[:, :, None] + y.vectors.square().sum(-1)[:, None, :]
            distances = (matched * (norms - 2 * similarity)).sum((1, 2)) / matched.sum((1, 2)).clamp_min(1)
        return LossOutput(distances.mean(), {"greedy/similarity": _mean_similarity(similarity.detach(), matched)})


def match(similarity: Float[Tensor, "B M N"], allowed: Bool[Tensor, "B M N"]) -> Bool[Tensor, "B M N"]:
    """One-to-one matching that takes the largest allowed similarity again and again (first in row order on a tie).

    A cell that is the best of both its row and its column will be taken whatever else happens, so all such cells of
    all pairs are taken at once; a few rounds do what would be min(M, N) steps.
    """
    open_cells = allowed.clone()
    matched = torch.zeros_like(allowed)
    while bool(open_cells.any()):
        left = similarity.masked_fill(~open_cells, -torch.inf)
        best_of_row = torch.zeros_like(allowed).scatter_(2, left.argmax(2, keepdim=True), value=True)
        best_of_column = torch.zeros_like(allowed).scatter_(1, left.argmax(1, keepdim=True), value=True)
        taken = best_of_row & best_of_column & open_cells
        matched |= taken
        open_cells &= ~(taken.any(2, keepdim=True) | taken.any(1, keepdim=True))
    return matched


def _mean_similarity(similarity: Float[Tensor, "B M N"], matched: Float[Tensor, "B M N"]) -> Float[Tensor, ""]:
    return (similarity * matched).sum() / matched.sum().clamp_min(1)
