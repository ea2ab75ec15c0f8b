"""Sinkhorn as a function of arrays.

Shapes: ``M`` rows, ``N`` columns and, for a batch, ``B`` problems.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optical_ray.ot.entropic import EntropicTransport
from optical_ray.ot.solvers.sinkhorn import Sinkhorn

Array = Tensor | np.ndarray


def sinkhorn(
    cost: Array,
    a: Array | None = None,
    b: Array | None = None,
    *,
    epsilon: float = 0.1,
    max_iterations: int = 1000,
    threshold: float = 1e-5,
    tau: float | None = None,
) -> EntropicTransport:
    """Solve one entropic transport problem, or a batch: argmin_P <P, C> + epsilon KL(P | a b) with marginals a and b.

    ``cost``: (M, N) or (B, M, N), finite. ``a``: (M,) or (B, M), and ``b``: (N,) or (B, N): masses >= 0 of equal
    sum; zero marks padding. They are uniform if left out. Each is a torch tensor or a NumPy array; the result holds
    tensors, in float32 or, for float64 costs, float64. ``tau`` replaces the constraints by KL penalties (unbalanced
    transport), for which sums may differ. The value is differentiable with respect to ``cost``, with the plan as its
    gradient. See ``optical_ray.ot.solvers.sinkhorn.Sinkhorn`` for the other parameters and the sources.

    Raises ``ValueError`` for arrays whose shapes or values are not as above and for a parameter out of range.

    >>> cost = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0]])
    >>> transport = sinkhorn(cost, b=np.array([0.25, 0.25, 0.5]), epsilon=0.2)
    >>> transport.plan.round(decimals=3)
    tensor([[0.2500, 0.0830, 0.1670],
            [0.0000, 0.1670, 0.3330]], dtype=torch.float64)
    >>> transport.plan.sum(1)
    tensor([0.5000, 0.5000], dtype=torch.float64)
    >>> bool(transport.marginal_error < 1e-5)
    True
    """
    costs = _as_float(cost)
    if costs.ndim not in (2, 3) or 0 in costs.shape:
        raise ValueError(f"cost: must have shape (M, N) or (B, M, N) without empty axes, got {tuple(costs.shape)}")
    if not costs.isfinite().all():
        raise ValueError("cost: must be finite, got inf or nan")
    is_single = costs.ndim == 2
    batch = costs[None] if is_single else costs
    rows, columns = (_weights(name, w, batch, axis) for name, w, axis in (("a", a, 1), ("b", b, 2)))
    if tau is None and not torch.allclose(rows.sum(1), columns.sum(1), rtol=1e-4, atol=0):
        raise ValueError("a, b: must have the same sum. Normalise them, or set tau for unbalanced transport.")
    solver = Sinkhorn(epsilon=epsilon, max_iterations=max_iterations, threshold=threshold, tau=tau)
    transport = solver(batch, rows, columns)
    return _first(transport) if is_single else transport


def _as_float(array: Array) -> Tensor:
    tensor = torch.as_tensor(array)
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def _weights(name: str, weights: Array | None, cost: Tensor, axis: int) -> Tensor:
    """Weights (B, L) of the rows (``axis`` 1) or columns (2) of ``cost`` (B, M, N), in its type and on its device."""
    shape = (cost.shape[0], cost.shape[axis])
    if weights is None:
        return torch.full(shape, 1 / shape[1], dtype=cost.dtype, device=cost.device)
    tensor = torch.as_tensor(weights).to(cost)
    if tensor.ndim not in (1, 2) or tensor.shape not in (shape, shape[1:]):
        raise ValueError(f"{name}: must have shape {shape[1:]} or {shape} to fit the cost, got {tuple(tensor.shape)}")
    if not (tensor.isfinite() & (tensor >= 0)).all():
        raise ValueError(f"{name}: must be finite and >= 0, got {tensor.min().item():g} as the smallest value")
    return tensor.expand(shape)


def _first(transport: EntropicTransport) -> EntropicTransport:
    """The only problem of a batch, without the batch axis."""
    error = transport.marginal_error
    return EntropicTransport(
        plan=transport.plan[0],
        value=transport.value[0],
        marginal_error=None if error is None else error[0],
        diagnostics={name: values[0] for name, values in transport.diagnostics.items()},
        f=transport.f[0],
        g=transport.g[0],
        a=transport.a[0],
        b=transport.b[0],
        epsilon=transport.epsilon,
        tau=transport.tau,
    )
