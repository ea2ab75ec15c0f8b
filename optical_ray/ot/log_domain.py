"""Sinkhorn in the log domain: slow, differentiable, and safe where numbers leave the range of a float.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.ot.problem import Solution, Terms, damping

LOG_OF_ZERO = -1.0e5
"""Stands for log(0): small enough to vanish, finite so that no gradient becomes NaN."""


def solve(cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], terms: Terms) -> Solution:
    """Alternate ``g = -rho eps lse_i(log a + (f - C) / eps)`` and its mirror for f, with rho = tau / (tau + eps).

    Autograd follows every iteration where ``cost`` asks for gradients. A pair that has converged keeps its
    potentials. Source: Schmitzer 2019 (arXiv 1610.06519), section 3; rho: Chizat et al. 2018 (arXiv 1607.05816).
    """
    epsilon, rho = terms.epsilon, damping(terms)
    scaled = cost / epsilon
    log_a, log_b = _log(a)[:, :, None], _log(b)[:, None, :]
    f, g = torch.zeros_like(log_a), torch.zeros_like(log_b)
    pairs = cost.shape[0]
    error = torch.full((pairs,), torch.inf, dtype=cost.dtype, device=cost.device)
    iterations = torch.zeros(pairs, dtype=torch.long, device=cost.device)
    moving = torch.ones(pairs, 1, 1, dtype=torch.bool, device=cost.device)
    for iteration in range(1, terms.max_iterations + 1):
        g = torch.where(moving, -rho * torch.logsumexp(log_a + f - scaled, 1, keepdim=True), g)
        f = torch.where(moving, -rho * torch.logsumexp(log_b + g - scaled, 2, keepdim=True), f)
        iterations = torch.where(moving[:, 0, 0], iteration, iterations)
        if iteration % terms.check_every and iteration < terms.max_iterations:
            continue
        with torch.no_grad():
            column = torch.logsumexp(log_a + f - scaled, 1, keepdim=True)
            moved = (log_b + (1 - rho) * column).exp() - (log_b + column + g).exp()
            error = torch.where(moving[:, 0, 0], moved.abs().sum((1, 2)), error)
            moving = moving & (error > terms.threshold)[:, None, None]
            if not moving.any():
                break
    plan = (log_a + log_b + f + g - scaled).exp()
    return Solution(plan, (plan * cost).sum((1, 2)), epsilon * f[:, :, 0], epsilon * g[:, 0, :], error, iterations)


def _log(weights: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
    return torch.where(weights > 0, weights, 1).log() + torch.where(weights > 0, 0.0, LOG_OF_ZERO).to(weights.dtype)
