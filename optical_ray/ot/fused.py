"""A whole Sinkhorn solve in one Triton kernel: one program per pair, cost and potentials on chip in every iteration.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens, ``D`` embedding dim.

Costs are read, or computed from embeddings of any float type: C_ij = p_i + q_j - scale <x_i, y_j>. Everything inside is
float32. Where exp(-C / eps) stays in range the program scales (a product per cell and half step), else it works in the
log domain. The iterates are those of the other solvers. ``TRITON_INTERPRET=1`` runs it on a CPU, for tests.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from optical_ray.ot.kernel import absent, interpreted, solve_pair
from optical_ray.ot.problem import Solution, Terms, damping

LONGEST = 256
"""Tokens on a side beyond which a tile does not fit on chip."""

LARGEST_SCALED_TILE = 128 * 128
"""Cells up to which costs and kernel both fit in registers; larger tiles work in the log domain, on the costs alone."""

LARGEST_PRODUCT_TILE = 128 * 256
"""Cells up to which the products of embeddings can be taken on chip."""

_LOG_OF_ZERO = -1.0e5
_RANGE = 60.0


def obstacle(a: Float[Tensor, "B M"], b: Float[Tensor, "B N"]) -> str | None:
    """Why problems with these weights cannot be solved here, or None."""
    if absent():
        return "Triton is not installed"
    if not (a.is_cuda or interpreted()):
        return f"tensors are on {a.device}, not on a GPU"
    if a.dtype == torch.float64:
        return "it works in float32, and these weights are float64"
    if max(a.shape[1], b.shape[1]) > LONGEST:
        return f"it takes at most {LONGEST} tokens, and these are {a.shape[1]} x {b.shape[1]}"
    return None


def solve(cost: Float[Tensor, "B M N"], a: Float[Tensor, "B M"], b: Float[Tensor, "B N"], terms: Terms) -> Solution:
    """Solve from costs. Raises ``ValueError`` where ``obstacle`` sees one."""
    return _launch(cost, None, None, None, None, 1.0, a, b, terms)


def solve_clouds(
    x: Float[Tensor, "B M D"],
    y: Float[Tensor, "B N D"],
    p: Float[Tensor, "B M"],
    q: Float[Tensor, "B N"],
    scale: float,
    a: Float[Tensor, "B M"],
    b: Float[Tensor, "B N"],
    terms: Terms,
) -> Solution:
    """Solve from embeddings, with costs p_i + q_j - scale <x_i, y_j>.

    The costs are not written to memory, but for tiles whose products would not fit in registers. Raises ``ValueError``
    where ``obstacle`` sees one.
    """
    if _tile(a.shape[1]) * _tile(b.shape[1]) > LARGEST_PRODUCT_TILE:
        products = torch.bmm(x.float(), y.float().transpose(1, 2))
        return solve(p[:, :, None].float() + q[:, None, :].float() - scale * products, a, b, terms)
    return _launch(None, x, y, p, q, scale, a, b, terms)


def _tile(length: int) -> int:
    """The next power of two, 16 at least."""
    return int(max(16, 1 << (length - 1).bit_length()))


def _launch(
    cost: Float[Tensor, "B M N"] | None,
    x: Float[Tensor, "B M D"] | None,
    y: Float[Tensor, "B N D"] | None,
    p: Float[Tensor, "B M"] | None,
    q: Float[Tensor, "B N"] | None,
    scale: float,
    a: Float[Tensor, "B M"],
    b: Float[Tensor, "B N"],
    terms: Terms,
) -> Solution:
    (pairs, m), n = a.shape, b.shape[1]
    reason = obstacle(a, b)
    if reason is not None:
        raise ValueError(f"backend: fused cannot be used: {reason}; use auto")
    new = torch.empty(0, dtype=torch.float32, device=a.device).new_empty
    plan, value, f, g, error = new(pairs, m, n), new(pairs), new(pairs, m), new(pairs, n), new(pairs)
    iterations = torch.empty(pairs, dtype=torch.int32, device=a.device)
    tile_m, tile_n = _tile(m), _tile(n)
    inputs = [t if t is None else t.detach().contiguous() for t in (cost, x, y)]
    vectors = [t if t is None else t.detach().float().contiguous() for t in (p, q, a, b)]
    nothing = value  # a pointer that is not followed
    program: Any = solve_pair
    program[(pairs,)](
        *(nothing if t is None else t for t in inputs + vectors),
        *(plan, value, f, g, error, iterations),
        *(m, n, 0 if x is None else x.shape[2], scale, terms.epsilon, damping(terms), terms.threshold),
        *(terms.max_iterations, terms.check_every),
        TILE_M=tile_m,
        TILE_N=tile_n,
        TILE_D=32,
        FROM_COST=cost is not None,
        BALANCED=terms.tau is None,
        MAY_SCALE=tile_m * tile_n <= LARGEST_SCALED_TILE,
        RANGE=_RANGE,
        LOG_OF_ZERO=_LOG_OF_ZERO,
        # tensor cores take tf32, which holds every number of 16 bits: those products are exact, float32 ones are not
        PRECISION="tf32" if x is not None and x.element_size() == 2 else "ieee",
        num_warps=min(16, max(4, tile_m * tile_n // 512)),
    )
    return Solution(plan, value, f, g, error, iterations.long())
