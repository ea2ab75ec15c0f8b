"""OPTICAL: pull student tokens towards the teacher tokens that optimal transport assigns to them.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.losses.interface import Loss, LossOutput, full_precision
from optical_ray.ot.cost import CostKind, cost_matrix
from optical_ray.ot.exact import exact
from optical_ray.ot.ipot import IpotConfig, ipot
from optical_ray.ot.sinkhorn import SinkhornConfig
from optical_ray.ot.transport import transport
from optical_ray.retrieval.embeddings import TokenEmbeddings

Marginals = Literal["uniform", "norm", "idf"]


@dataclass(frozen=True)
class OptimalTransport(Loss):
    """Mean over pairs of <P, C>: C the cost between student and teacher tokens, P its transport plan.

    ``solver``: ``sinkhorn`` (entropic, balanced or with ``sinkhorn.tau`` unbalanced), ``ipot`` (proximal point), or
    ``exact`` (network simplex, slow); each reads its own block. ``marginals``: mass of the tokens, ``uniform`` over
    real ones, or in proportion to what comes with the embeddings (``norm``: lengths of the vectors before they were
    normalised; ``idf``: inverse document frequencies in the bitext). Mass sums to one in each pair, so long sentences
    do not dominate. Always computed in float32 or better.

    Raises ``ValueError`` where marginals need what the embeddings do not have. Source: Huang, Yu and Allan, WSDM
    2023 (arXiv 2301.12566), section 4; norm marginals: Yokoi et al., EMNLP 2020 (arXiv 2004.15003).
    """

    kind: Literal["optimal_transport"] = "optimal_transport"
    cost: CostKind = "cosine"
    solver: Literal["sinkhorn", "ipot", "exact"] = "sinkhorn"
    marginals: Marginals = "uniform"
    sinkhorn: SinkhornConfig = field(default_factory=SinkhornConfig)
    ipot: IpotConfig = field(default_factory=IpotConfig)

    def __call__(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        _, value, diagnostics = self._transport(student, teacher)
        return LossOutput(value.mean(), diagnostics)

    def plan(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> Float[Tensor, "B M N"]:
        """The transport plan of each pair, detached: which teacher tokens each student token is pulled towards."""
        return self._transport(student, teacher)[0].detach()

    def _transport(
        self, student: TokenEmbeddings, teacher: TokenEmbeddings
    ) -> tuple[Float[Tensor, "B M N"], Float[Tensor, " B"], dict[str, Tensor]]:
        with full_precision(student, teacher) as (x, y):
            a, b = (_marginal(side, self.marginals) for side in (x, y))
            clouds = x.vectors, y.vectors, x.mask, y.mask
            match self.solver:
                case "sinkhorn":
                    entropic = transport(*clouds, a, b, self.cost, self.sinkhorn)
                    diagnostics = {
                        "ot/marginal_error": entropic.marginal_error.detach().mean(),
                        "ot/iterations": entropic.iterations.to(a.dtype).mean(),
                        "ot/converged": entropic.converged.to(a.dtype).mean(),
                    }
                    return entropic.plan, entropic.value, diagnostics
                case "ipot":
                    proximal = ipot(cost_matrix(*clouds, self.cost), a, b, self.ipot)
                    return proximal.plan, proximal.value, {"ot/marginal_error": proximal.marginal_error.mean()}
                case "exact":
                    solved = exact(cost_matrix(*clouds, self.cost), a, b)
                    return solved.plan, solved.value, {}


def _marginal(tokens: TokenEmbeddings, marginals: Marginals) -> Float[Tensor, "B L"]:
    """Mass of each token, summing to one over real tokens; equal where a text has no weight at all."""
    dtype = tokens.vectors.dtype
    mask = tokens.mask.to(dtype)
    equal = mask / mask.sum(1, keepdim=True).clamp_min(1)
    if marginals == "uniform":
        return equal
    known = tokens.norms if marginals == "norm" else tokens.idf
    if known is None:
        raise ValueError(f"marginals: {marginals} is not known of these embeddings; use uniform")
    weights = known.detach().to(dtype) * mask
    total = weights.sum(1, keepdim=True)
    return torch.where(total > 0, weights / torch.where(total > 0, total, 1), equal)
