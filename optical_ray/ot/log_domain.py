"""Sinkhorn in the log domain: slow, differentiable, and free of overflow.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.ot.problem import Parameters, Solution, update_exponent

LOG_OF_ZERO = -1.0e30
"""Stands for log(0): below any -cost / epsilon, and finite so that no gradient becomes NaN."""


def solve(
    cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], parameters: Parameters
) -> Solution:
    """Alternate ``g = -rho eps lse_i(log a + (f - C) / eps)`` and its mirror for f, with rho = tau / (tau + eps).

    Autograd records every iteration if ``cost`` requires gradients. A problem that has converged keeps its
    potentials. Source: Schmitzer 2019 (arXiv 1610.06519), section 3; rho: Chizat et al. 2018 (arXiv 1607.05816).
    """
    epsilon, rho = parameters.epsilon, update_exponent(parameters)
    scaled = cost / epsilon
    log_a, log_b = _log(a)[:, :, None], _log(b)[:, None, :]
    f, g = torch.zeros_like(log_a), torch.zeros_like(log_b)
    num_problems = cost.shape[0]
    residual = torch.full((num_problems,), torch.inf, dtype=cost.dtype, device=cost.device)
    iterations = torch.zeros(num_problems, dtype=torch.long, device=cost.device)
    active = torch.ones(num_problems, 1, 1, dtype=torch.bool, device=cost.device)
    for iteration in range(1, parameters.max_iterations + 1):
        g = torch.where(active, -rho * torch.logsumexp(log_a + f - scaled, 1, keepdim=True), g)
        f = torch.where(active, -rho * torch.logsumexp(log_b + g - scaled, 2, keepdim=True), f)
        iterations = torch.where(active[:, 0, 0], iteration, iterations)
        if iteration % parameters.check_every and iteration < parameters.max_iterations:
            continue
        with torch.no_grad():
            column = torch.logsumexp(log_a + f - scaled, 1, keepdim=True)
            change = (log_b + (1 - rho) * column).exp() - (log_b + column + g).exp()
            residual = torch.where(active[:, 0, 0], change.abs().sum((1, 2)), residual)
            active = active & (residual > parameters.threshold)[:, None, None]
            if not active.any():
                break
    plan = (log_a + log_b + f + g - scaled).exp()
    return Solution(plan, (plan * cost).sum((1, 2)), epsilon * f[:, :, 0], epsilon * g[:, 0, :], residual, iterations)


def _log(weights: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
    return torch.where(weights > 0, weights, 1).log() + torch.where(weights > 0, 0.0, LOG_OF_ZERO).to(weights.dtype)
