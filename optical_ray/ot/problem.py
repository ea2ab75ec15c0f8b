"""Inputs and outputs that the backends of Sinkhorn share.

Shapes: ``B`` problems, ``M`` student tokens, ``N`` teacher tokens.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Parameters(Protocol):
    """The fields of ``optical_ray.ot.solvers.sinkhorn.Sinkhorn``, which documents them."""

    @property
    def epsilon(self) -> float: ...
    @property
    def tau(self) -> float | None: ...
    @property
    def max_iterations(self) -> int: ...
    @property
    def threshold(self) -> float: ...
    @property
    def check_every(self) -> int: ...
    @property
    def gradient(self) -> Literal["envelope", "unrolled"]: ...


class Solution(NamedTuple):
    """Plan, cost, potentials and progress of each problem.

    ``value`` (B,) = <plan, cost>. ``f`` (B, M) and ``g`` (B, N) are in units of the cost:
    ``plan = a b exp((f + g - cost) / epsilon)``. ``residual`` (B,) is the mass that the next half-iteration would
    move; for balanced transport it equals the L1 marginal error.
    """

    plan: Float[Tensor, "B M N"]
    value: Float[Tensor, " B"]
    f: Float[Tensor, "B M"]
    g: Float[Tensor, "B N"]
    residual: Float[Tensor, " B"]
    iterations: Int[Tensor, " B"]


def update_exponent(parameters: Parameters) -> float:
    """Exponent of a Sinkhorn update: tau / (tau + epsilon) for unbalanced transport, 1 for balanced transport.

    >>> from optical_ray.ot.solvers.sinkhorn import Sinkhorn
    >>> update_exponent(Sinkhorn(epsilon=0.1)), update_exponent(Sinkhorn(epsilon=0.1, tau=0.1))
    (1.0, 0.5)
    """
    return 1.0 if parameters.tau is None else parameters.tau / (parameters.tau + parameters.epsilon)
