"""OPTICAL: pull student tokens towards the teacher tokens that optimal transport assigns to them.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.losses.interface import Loss, LossOutput, full_precision
from optical_ray.ot.cost import CostKind, canonical_cost
from optical_ray.ot.solvers.interface import Solver
from optical_ray.ot.solvers.sinkhorn import Sinkhorn
from optical_ray.ot.transport import Transport
from optical_ray.registry import AnyOf
from optical_ray.retrieval.embeddings import TokenEmbeddings

Marginals = Literal["uniform", "norm", "idf"]


@dataclass(frozen=True)
class OptimalTransport(Loss):
    """Mean over pairs of <P, C>: C is the cost between student and teacher tokens, P its transport plan.

    ``marginals``: mass of the tokens, ``uniform`` over real tokens, or in proportion to the embeddings' ``norms``
    (``norm``) or ``idf`` (``idf``). The masses of a text sum to one, so that long sentences do not dominate.
    ``solver``: any kind in ``optical_ray.ot.solvers``.

    Raises ``ValueError`` if the embeddings lack what ``marginals`` needs. Source: Huang, Yu and Allan, WSDM 2023
    (arXiv 2301.12566), section 4; norm marginals: Yokoi et al., EMNLP 2020 (arXiv 2004.15003).
    """

    kind: Literal["optimal_transport"] = "optimal_transport"
    cost: CostKind = "cosine"
    marginals: Marginals = "uniform"
    solver: Annotated[Solver, AnyOf("optical_ray.ot.solvers", Solver)] = field(default_factory=Sinkhorn)

    def compute(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        transport = self._transport(student, teacher)
        reported = dict(transport.diagnostics)
        if transport.marginal_error is not None:
            reported["marginal_error"] = transport.marginal_error
        means = {f"ot/{name}": values.detach().to(transport.value.dtype).mean() for name, values in reported.items()}
        return LossOutput(transport.value.mean(), means)

    def plan(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> Float[Tensor, "B M N"]:
        """The transport plan of each pair, detached."""
        with full_precision(student, teacher) as sides:
            return self._transport(*sides).plan.detach()

    def canonical(self) -> tuple[float, Loss]:
        """Costs that are equal up to a factor become the same cost, and the solver's parameters are rescaled."""
        factor, cost = canonical_cost(self.cost)
        return factor, replace(self, cost=cost, solver=self.solver.rescaled(1 / factor))

    def _transport(self, x: TokenEmbeddings, y: TokenEmbeddings) -> Transport:
        a, b = (_masses(side, self.marginals) for side in (x, y))
        return self.solver.solve_embeddings(x.vectors, y.vectors, x.mask, y.mask, a, b, self.cost)


def _masses(tokens: TokenEmbeddings, marginals: Marginals) -> Float[Tensor, "B L"]:
    """Mass of each token, summing to one over real tokens; uniform if all weights of a text are zero."""
    dtype = tokens.vectors.dtype
    mask = tokens.mask.to(dtype)
    uniform = mask / mask.sum(1, keepdim=True).clamp_min(1)
    if marginals == "uniform":
        return uniform
    values = tokens.norms if marginals == "norm" else tokens.idf
    if values is None:
        raise ValueError(f"marginals: the embeddings have no weights for {marginals!r}. Use uniform.")
    weights = values.detach().to(dtype) * mask
    total = weights.sum(1, keepdim=True)
    return torch.where(total > 0, weights / torch.where(total > 0, total, 1), uniform)
