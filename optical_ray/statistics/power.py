"""Effect sizes, and the difference that a design can detect."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.groups import Groups, freedom, mean_variance
from optical_ray.statistics.intervals import Parts
from optical_ray.statistics.significance import ALPHA, smallest_p

POWER = 0.8
MANY_DEGREES = 500
"""With more degrees of freedom the noncentral t distribution is taken as normal."""

NUM_QUANTILES = 1000


@dataclass(frozen=True)
class Effect:
    """The size of a paired difference.

    ``d_z`` is mean / sd of the topic differences (Cohen); ``improved`` and ``hurt`` are shares of topics.
    ``detectable`` is the difference that the sign-flip test finds with power 0.8 after the correction for its family;
    infinite if no difference can be significant, NaN if it cannot be estimated.
    """

    d_z: float
    improved: float
    hurt: float
    detectable: float


def effect(differences: FloatArray, groups: Groups | None = None, *, num_tests: int = 1) -> Effect:
    """Return the effect sizes of T topic differences that are tested in a family of ``num_tests``."""
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else float("nan")
    mean = float(differences.mean())
    d_z = mean / spread if spread > 0 else (0.0 if mean == 0 else float("nan"))
    improved, hurt = float((differences > 0).mean()), float((differences < 0).mean())
    return Effect(d_z, improved, hurt, detectable(differences, groups, num_tests=num_tests))


def can_be_significant(num_units: int, num_tests: int, alpha: float = ALPHA) -> bool:
    """Return whether the smallest sign-flip p over ``num_units`` survives Holm's correction in the family.

    >>> can_be_significant(10, 75), can_be_significant(12, 75)
    (False, True)
    """
    return smallest_p(num_units) * num_tests < alpha


def detectable(
    differences: FloatArray,
    groups: Groups | None = None,
    *,
    num_tests: int = 1,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """Return the minimum detectable difference of the sign-flip test: ``power`` at level ``alpha / num_tests``.

    The standard error is that of the observed differences (by ``groups`` if given). The randomisation test has the
    power of the t-test, so the difference solves ``P(t' > t(1 - alpha / 2m)) = power`` for the noncentral t'.
    Infinite if the test cannot reach that level; NaN for a single topic or group.
    """
    num_units = len(differences) if groups is None else groups.num_groups
    degrees = freedom(len(differences), groups)
    if degrees <= 0:
        return float("nan")
    if not can_be_significant(num_units, num_tests, alpha):
        return float("inf")
    error = math.sqrt(mean_variance(differences, groups))
    return error * noncentrality(degrees, alpha / num_tests, power)


def noncentrality(degrees: float, alpha: float, power: float = POWER) -> float:
    """Return the difference, in standard errors, that a two-sided t-test at ``alpha`` finds with ``power``.

    >>> round(noncentrality(1000, 0.05), 1)
    2.8
    """
    critical = float(stats.t.isf(alpha / 2, degrees))
    if degrees > MANY_DEGREES:
        return critical + float(stats.norm.ppf(power))
    return _solve(critical * np.sqrt(_chi_squared(degrees)), power)


def _chi_squared(degrees: float) -> FloatArray:
    """Quantiles of a chi-squared variable over its degrees of freedom, at equal probabilities."""
    return np.asarray(stats.chi2.ppf((np.arange(NUM_QUANTILES) + 0.5) / NUM_QUANTILES, degrees) / degrees)


def _solve(critical: FloatArray, power: float) -> float:
    """The shift of a standard normal variable that exceeds equally probable critical values with ``power``."""
    if not np.isfinite(critical).all():
        return float("inf")

    def lacking(shift: float) -> float:
        return float(stats.norm.sf(critical - shift).mean()) - power

    return float(optimize.brentq(lacking, 0.0, float(critical.max()) + 10.0, xtol=1e-6))


def detectable_with_seeds(parts: Parts, *, num_tests: int = 1, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the minimum detectable difference of the test with seeds as a level (``Interval.p``); NaN for one seed.

    If seeds are pooled it is the t-test's, as in ``detectable``. Else the critical difference, topic and seed part with
    their own t quantile in quadrature, varies with the estimate of the seed part, and the power is its mean over the
    chi-squared distribution of that estimate.
    """
    if parts.topic_freedom <= 0 or parts.seed_freedom <= 0:
        return float("nan")
    level = alpha / num_tests
    error = math.sqrt(parts.variance)
    if parts.pooled or error == 0:
        return error * noncentrality(parts.freedom, level, power) if error else 0.0
    estimates = parts.seeds_raw * _chi_squared(parts.seed_freedom)
    topics = parts.topics_only * stats.t.isf(level / 2, parts.topic_freedom) ** 2
    critical = np.sqrt(topics + estimates * stats.t.isf(level / 2, parts.seed_freedom) ** 2)
    return error * _solve(critical / error, power)
