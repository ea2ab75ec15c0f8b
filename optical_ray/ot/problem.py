"""What the public function and its solvers tell each other.

Shapes: ``B`` pairs, ``M`` student tokens, ``N`` teacher tokens.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Terms(Protocol):
    """The numbers that a solver reads from its configuration."""

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


class Solution(NamedTuple):
    """Plan, its cost, potentials, and how far each pair got.

    ``value`` (B,) = <plan, cost>, taken while both are at hand. ``f`` (B, M) and ``g`` (B, N) are in units of cost:
    ``plan = a b exp((f + g - cost) / epsilon)``. ``error`` (B,) is the mass that the next half step would move; for
    balanced transport that is the L1 marginal error.
    """

    plan: Float[Tensor, "B M N"]
    value: Float[Tensor, " B"]
    f: Float[Tensor, "B M"]
    g: Float[Tensor, "B N"]
    error: Float[Tensor, " B"]
    iterations: Int[Tensor, " B"]


def damping(terms: Terms) -> float:
    """How much of a balanced step an unbalanced one takes: tau / (tau + eps), and 1 without tau.

    >>> from optical_ray.ot.sinkhorn import SinkhornConfig
    >>> damping(SinkhornConfig(epsilon=0.1)), damping(SinkhornConfig(epsilon=0.1, tau=0.1))
    (1.0, 0.5)
    """
    return 1.0 if terms.tau is None else terms.tau / (terms.tau + terms.epsilon)
