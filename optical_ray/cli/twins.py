"""Points of a space that are the same alignment problem under two names: a plan should not pay for one twice."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import with_params
from optical_ray.config.space import Float, corners, dimensions, grid
from optical_ray.losses.interface import Loss
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.losses.softmax import Softmax
from optical_ray.losses.weighted_sum import WeightedSum
from optical_ray.ot.ipot import IpotConfig
from optical_ray.ot.sinkhorn import SinkhornConfig

MOST = 4096
"""Points of a design that are looked at; of a larger space the corners are."""

Problem = tuple[str, str, float]
"""A loss without its cost and its regularisation; its cost; its regularisation as it would be with the cosine cost."""


def twins(experiment: Experiment) -> Iterator[str]:
    """What to say of the losses in the experiment's space.

    Vectors have unit length, so their squared Euclidean distance is twice 1 - cosine: at twice the epsilon, tau, beta
    or temperature it has the same plan, and twice the loss; the exact solver has the same plan with both.
    """
    space = {path: dimension for path, dimension in experiment.space.items() if f"{path}.".startswith("loss.")}
    is_range = experiment.search.mode == "optimise" and any(isinstance(one, Float) for _, one in dimensions(space))
    few = not is_range and math.prod(len(dimension.grid()) for dimension in space.values()) <= MOST
    points = grid(space) if few else corners(space)
    losses = {repr(loss): loss for loss in (with_params(experiment, params).loss for params in points)}
    problems = [_problem(loss) for loss in losses.values()]
    same = _overlaps(problems) if is_range else _equals(problems)
    if same:
        said = " and ".join(f"{value:g}" for value in sorted(same))
        yield (
            "squared_euclidean at epsilon 2e has the plan of cosine at e (vectors have unit length), and twice the "
            f"loss: the space holds the same problem twice {'between' if is_range else 'at'} e = {said}; "
            "leave one cost out"
        )
    distinct = {(rest, cost, f"{value:.9g}") for rest, cost, value in problems}
    if len(distinct) < len(problems):
        yield (
            f"{len(problems)} losses of the space are {len(distinct)} problems: some differ in nothing that their "
            "solver heeds (sinkhorn's block with ipot or exact, ipot's with the others, the scale of the cost with "
            "exact); put a dimension into the choice that heeds it"
        )


def _equals(problems: list[Problem]) -> set[float]:
    """Regularisations at which two costs are one problem."""
    return {
        first
        for (rest, cost, first), (other_rest, other_cost, second) in combinations(problems, 2)
        if rest == other_rest and cost != other_cost and math.isclose(first, second, rel_tol=1e-9)
    }


def _overlaps(problems: list[Problem]) -> set[float]:
    """The ends of the ranges in which two costs are one problem, from the ends of each cost's range."""
    ranges: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rest, cost, value in problems:
        ranges[rest][cost].append(value)
    ends: set[float] = set()
    for by_cost in ranges.values():
        for one, other in combinations(by_cost.values(), 2):
            low, high = max(min(one), min(other)), min(max(one), max(other))
            ends |= {low, high} if low <= high else set()
    return ends


def _problem(loss: Loss) -> Problem:
    if isinstance(loss, WeightedSum):
        parts = [(term.weight, _scale(term.loss), _problem(term.loss)) for term in loss.terms]
        rest = repr([(f"{weight * scale:.9g}", inner) for weight, scale, (inner, _, _) in parts])
        values = [problem[2] for _, _, problem in parts if problem[2]]
        return rest, "+".join(cost for _, _, (_, cost, _) in parts), values[0] if values else 0.0
    plain: Any
    if isinstance(loss, Softmax):
        plain, value = replace(loss, temperature=1.0), loss.temperature
    elif isinstance(loss, OptimalTransport):
        plain, value = _transport(loss)
    else:
        return repr(loss), "", 0.0
    cost = plain.cost
    if cost == "centred_cosine":
        return repr(plain), cost, value
    return repr(replace(plain, cost="cosine")), cost if value else "", value / _scale(loss)


def _transport(loss: OptimalTransport) -> tuple[OptimalTransport, float]:
    """The loss without its regularisation and what its solver does not read; the regularisation."""
    sinkhorn, ipot = SinkhornConfig(), IpotConfig()
    if loss.solver == "sinkhorn":
        tau = loss.sinkhorn.tau and loss.sinkhorn.tau / _scale(loss)
        return replace(loss, ipot=ipot, sinkhorn=replace(loss.sinkhorn, epsilon=1.0, tau=tau)), loss.sinkhorn.epsilon
    if loss.solver == "ipot":
        return replace(loss, sinkhorn=sinkhorn, ipot=replace(loss.ipot, beta=1.0)), loss.ipot.beta
    return replace(loss, sinkhorn=sinkhorn, ipot=ipot), 0.0


def _scale(loss: Any) -> float:
    return 2.0 if getattr(loss, "cost", None) == "squared_euclidean" else 1.0
