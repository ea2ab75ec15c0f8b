"""The last chapter: how every number was computed, for a paper's methods section."""

from __future__ import annotations

from collections.abc import Sequence

from optical_ray.report.comparisons import Comparison
from optical_ray.report.page import Section
from optical_ray.report.study import Study
from optical_ray.statistics.relabelling import MOST_RELABELLINGS
from optical_ray.statistics.significance import CONDITIONAL, EXACT_UP_TO, NUM_RESAMPLES


def methods_section(study: Study, family: Sequence[Comparison]) -> Section:
    """Return units, splits, tests, families, intervals and their sources."""
    measure = study.per_topic_measure
    text = (
        f"Unit and splits. The unit of analysis is a topic's {measure}; every system is scored on the same topics. "
        "Source sets, their numbers (such as epsilon) and all other choices are made on the eval split; all scores, "
        "gains, intervals and p are those of the test split. English-only is the same student before distillation."
        + _relevance(study),
        "Tests. Per-topic differences are averaged over the trained seeds and tested by the paired two-sided sign-flip "
        f"randomisation test ({NUM_RESAMPLES:,} draws; all patterns for up to {EXACT_UP_TO} topics; Smucker, Allan "
        "and Carterette 2007); the paired t-test is also given. The declared family is every source set on every "
        f"target against English-only: {len(family)} tests, adjusted by Holm (1979); Benjamini and Hochberg's "
        f"adjustment is in the tables. These p are {CONDITIONAL}: they make no claim about training again. Shapley "
        "values, controls and predictors are families of their own, named in their captions.",
        _groups(study),
        "Intervals. With difference = mean + topic + seed + topic-by-seed, the half width of the 95 % interval is (A "
        "t(a) + B t(b)) / √(A + B), each part with its own t quantile (Cochran and Cox 1950). A is the seeds' part of "
        "the variance of the mean: the variance between the means of single seeds, pooled over all systems of the "
        "target, less what topics cause, over S seeds; its degrees of freedom a are those of all systems together. B "
        "is the topics' part, with b = T − 1 degrees of freedom. Pooling assumes that all systems of a target vary "
        "alike; the Brown-Forsythe test (1974) of that is in the table of seeds. For one seed it is the paired t "
        "interval over topics. The p with seeds as a level subtracts nothing from the variance between seeds, because "
        "Holm uses its tail. It has Satterthwaite's degrees of freedom (1946), the seeds' part counting two fewer; "
        "with fewer than five degrees of freedom it adds the parts in quadrature (Graybill and Wang 1980). It is "
        "given the shared teacher, which was trained once. A comparison with a control adds the control's seed part.",
        "Effect sizes. d_z is mean over sd of the topic differences. The minimum detectable difference is the one that "
        "the test behind the verdict finds with power 0.8 at two-sided .05 divided by the number of tests in its "
        "family (noncentral t with the observed standard error).",
        "Shapley values are mean marginal gains over all orders of languages (Shapley 1953), interactions the pairwise "
        "Shapley interaction index (Grabisch and Roubens 1999), both computed per topic and seed, with v(∅) = "
        "English-only. An incomplete lattice is analysed by the orders it contains, or by an additive model; the "
        "chapter names the method.",
        "Predictors are tested by Mantel's test (1967): languages are relabelled, rows and columns together, in all "
        f"ways up to {MOST_RELABELLINGS:,}, else in 4,999 random ways. Rank stability is Kendall's τ.",
        f"To cite: study {study.name}, analysed by optical_ray {_version(study)}, "
        f"{sum(len(system.keys) for system in study.systems)} trials, data digests as under Provenance.",
    )
    return Section("methods", "How this was computed", tuple(paragraph for paragraph in text if paragraph))


def _relevance(study: Study) -> str:
    if study.relevance_level == 1:
        return ""
    return f" A document is relevant from grade {study.relevance_level}; MAP is the mean of {study.per_topic_measure}."


def _groups(study: Study) -> str:
    if all(study.test(target).groups is None for target in study.targets):
        return ""
    return (
        "Groups. Topics of one group are not independent, so the sign of a whole group is flipped, bootstraps draw "
        "whole groups, and B is the variance between groups, unbiased if the means of groups have one variance (Bell "
        "and McCaffrey 2002); b is the effective number of groups less one. That number is Kish's, (Σ n)² / Σ n²."
    )


def _version(study: Study) -> str:
    versions = study.info.versions
    return str(versions.get("optical_ray", versions.get("optical-ray", "(version not recorded)")))
