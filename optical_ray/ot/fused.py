"""Sinkhorn in one Triton kernel: one program per problem, with cost and potentials on chip in every iteration.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dimension.

Costs are read, or computed from embeddings of any float type: C_ij = p_i + q_j - scale <x_i, y_j>. All arithmetic is
float32. If exp(-C / eps) stays in range, a program works in the scaling domain (one product per cell and half step),
otherwise in the log domain. The iterates are those of the other backends. ``TRITON_INTERPRET=1`` runs it on a CPU, for
tests.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.ot.cost import BilinearCost
from optical_ray.ot.kernel import has_triton, is_interpreted, solve_problem
from optical_ray.ot.problem import Parameters, Solution, update_exponent

MAX_TOKENS = 256
"""Largest number of tokens on a side whose tile fits on chip."""

LARGEST_SCALED_TILE = 128 * 128
"""Largest tile, in cells, whose costs and kernel both fit in registers; larger ones use the log domain."""

LARGEST_PRODUCT_TILE = 128 * 256
"""Largest tile, in cells, whose products of embeddings can be computed on chip."""

_LOG_OF_ZERO = -1.0e30
_RANGE = 60.0


def obstacle(a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> str | None:
    """The reason why the kernel cannot solve problems with these weights, or None if it can."""
    if not has_triton():
        return "Triton is not installed"
    if not (a.is_cuda or is_interpreted()):
        return f"tensors are on {a.device}, not on a GPU"
    if a.dtype == torch.float64:
        return "the kernel computes in float32, and the weights are float64"
    if max(a.shape[1], b.shape[1]) > MAX_TOKENS:
        return f"the kernel takes at most {MAX_TOKENS} tokens on a side, got {a.shape[1]} x {b.shape[1]}"
    return None


def solve(
    cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], parameters: Parameters
) -> Solution:
    """Solve from a cost matrix. Raises ``ValueError`` if there is an ``obstacle``."""
    return _launch(cost, None, a, b, parameters)


def solve_embeddings(
    cost: BilinearCost, a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], parameters: Parameters
) -> Solution:
    """Solve from embeddings, without writing the costs to memory unless their products would not fit in registers.

    Raises ``ValueError`` if there is an ``obstacle``.
    """
    if _tile(a.shape[1]) * _tile(b.shape[1]) > LARGEST_PRODUCT_TILE:
        products = torch.bmm(cost.x.float(), cost.y.float().transpose(1, 2))
        matrix = cost.p[:, :, None].float() + cost.q[:, None, :].float() - cost.scale * products
        return solve(matrix, a, b, parameters)
    return _launch(None, cost, a, b, parameters)


def _tile(length: int) -> int:
    """The next power of two, at least 16."""
    return int(max(16, 1 << (length - 1).bit_length()))


def _launch(
    matrix: Float[Tensor, "B M N"] | None,
    embeddings: BilinearCost | None,
    a: Float[Tensor, "B M"],
    b: Float[Tensor, "B N"],
    parameters: Parameters,
) -> Solution:
    """Run the kernel on costs from ``matrix`` or from ``embeddings``; the other one is None."""
    (num_problems, m), n = a.shape, b.shape[1]
    reason = obstacle(a, b)
    if reason is not None:
        raise ValueError(f"backend: fused cannot be used: {reason}. Use auto.")
    new = torch.empty(0, dtype=torch.float32, device=a.device).new_empty
    plan, value, residual = new(num_problems, m, n), new(num_problems), new(num_problems)
    f, g = new(num_problems, m), new(num_problems, n)
    iterations = torch.empty(num_problems, dtype=torch.int32, device=a.device)
    tile_m, tile_n = _tile(m), _tile(n)
    x, y, p, q, scale = (None, None, None, None, 1.0) if embeddings is None else embeddings
    inputs = [t if t is None else t.detach().contiguous() for t in (matrix, x, y)]
    vectors = [t if t is None else t.detach().float().contiguous() for t in (p, q, a, b)]
    unused = value  # a valid pointer that the kernel does not read
    program: Any = solve_problem
    program[(num_problems,)](
        *(unused if t is None else t for t in inputs + vectors),
        *(plan, value, f, g, residual, iterations),
        *(
            m,
            n,
            0 if x is None else x.shape[2],
            scale,
            parameters.epsilon,
            update_exponent(parameters),
            parameters.threshold,
        ),
        *(parameters.max_iterations, parameters.check_every),
        TILE_M=tile_m,
        TILE_N=tile_n,
        TILE_D=32,
        FROM_COST=matrix is not None,
        BALANCED=parameters.tau is None,
        MAY_SCALE=tile_m * tile_n <= LARGEST_SCALED_TILE,
        RANGE=_RANGE,
        LOG_OF_ZERO=_LOG_OF_ZERO,
        # tensor cores compute in tf32, which represents every 16-bit float exactly, but not every float32
        PRECISION="tf32" if x is not None and x.element_size() == 2 else "ieee",
        num_warps=min(16, max(4, tile_m * tile_n // 512)),
    )
    return Solution(plan, value, f, g, residual, iterations.long())
