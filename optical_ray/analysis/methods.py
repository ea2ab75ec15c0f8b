"""The last chapter: how every number was computed, in words that a paper can take over."""

from __future__ import annotations

from collections.abc import Sequence

from optical_ray.analysis.effects import Comparison, Matrix
from optical_ray.analysis.page import Section
from optical_ray.analysis.predictors import MOST_RELABELLINGS
from optical_ray.analysis.significance import CONDITIONAL, EXACT_UP_TO, NUM_RESAMPLES
from optical_ray.analysis.study import Study
from optical_ray.analysis.tables import Column, Table, Value


def methods_section(study: Study, family: Sequence[Comparison]) -> Section:
    """Units, splits, tests, families, intervals and their sources."""
    metric = study.metric
    text = (
        f"Unit and splits. The unit of analysis is a topic's {metric}; every system is scored on the same topics. "
        "Source sets, their numbers (epsilon and the like) and everything else that is chosen is chosen on the eval "
        "split; every score, gain, interval and p is of the test split. English-only is the same student before any "
        "distillation.",
        "Tests. Per-topic differences are averaged over the trained seeds and tested by a paired two-sided sign-flip "
        f"randomisation test ({NUM_RESAMPLES:,} draws; all patterns for up to {EXACT_UP_TO} topics; Smucker, Allan "
        "and Carterette 2007), with the paired t-test beside it. The declared family is every source set on every "
        f"target against English-only: {len(family)} tests, adjusted by Holm (1979); Benjamini and Hochberg's "
        f"adjustment is in the tables. These p are {CONDITIONAL}: they say nothing about training again. Shapley "
        "values, controls and predictors are families of their own, named in their captions.",
        "Intervals. With difference = mean + topic + seed + topic-by-seed, the half width of the 95 % interval is (A "
        "t(S−1) + B t(T−1)) / √(A + B): A is the seeds' part of the variance of the mean (spread of the S seed "
        "means, less what topics alone would cause, over S), B the topics' part (over T topics), each with its own t "
        "quantile (Cochran and Cox 1950). With one seed it is the paired t interval over topics. The p with seeds as "
        "a level takes the same components in quadrature, nothing subtracted (Graybill and Wang 1980), because Holm "
        "looks into its tail; it is more careful than the interval, and given the shared teacher, which was trained "
        "once.",
        "Effect sizes. d_z is mean over sd of the topic differences. The minimum detectable difference is 2.8 sd / "
        "√T: found with power 0.8 at two-sided .05 before adjustment.",
        "Shapley values are mean marginal gains over all orders of languages (Shapley 1953), interactions the "
        "pairwise Shapley interaction index (Grabisch and Roubens 1999), both computed per topic and seed, v(∅) "
        "being English-only. An incomplete lattice is analysed by the orders that are there, or by an additive "
        "model, and says so.",
        "Predictors are tested by Mantel's test (1967): languages are relabelled, rows and columns together, in all "
        f"ways up to {MOST_RELABELLINGS:,}, else in 4,999 drawn ways. Rank stability is Kendall's τ.",
        f"To cite: study {study.name}, analysed by optical_ray {_version(study)}, "
        f"{sum(len(system.keys) for system in study.systems)} trials, data digests as under Provenance.",
    )
    return Section("methods", "How this was computed", text)


def _version(study: Study) -> str:
    versions = study.about.get("versions") or {}
    return str(versions.get("optical_ray", versions.get("optical-ray", "(version not recorded)")))


def regret_table(study: Study, cells: Matrix) -> Table:
    """What choosing each source set instead of the best one costs, per target and on average."""
    columns = (
        Column("source_set", "Source set"),
        *(Column(target, target, 3, sign=True) for target in cells.targets),
        Column("mean", "mean regret", 3, sign=True),
    )
    regrets = cells.regrets()
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (label, *(float(value) for value in regrets[row]), float(regrets[row].mean()))
        for row, label in enumerate(cells.labels)
    )
    caption = (
        f"Regret: the test {study.measure} of the set chosen on eval for a target, less that of the row's set. Below "
        "zero the row did better on test than what was chosen."
    )
    return Table("regret", caption, columns, rows)
