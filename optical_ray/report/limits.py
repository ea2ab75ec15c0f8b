"""What a study cannot show, or does not show yet."""

from __future__ import annotations

from collections.abc import Sequence

from optical_ray.languages import is_known_language, language_label, same_language
from optical_ray.report.comparisons import Comparison
from optical_ray.report.load import SOURCES
from optical_ray.report.page import Section
from optical_ray.report.study import Study, plural
from optical_ray.statistics.power import can_be_significant
from optical_ray.statistics.significance import ALPHA, smallest_p
from optical_ray.study.records import Ledger
from optical_ray.study.summary import unconverged


def limits_section(missing: Sequence[str]) -> Section:
    """Return the chapter that lists the limits."""
    return Section("limits", "What this study cannot show", tuple(missing))


def missing_parts(study: Study, family: Sequence[Comparison]) -> tuple[str, ...]:
    """Return the limits as sentences."""
    return (*study.notes, *_trials(study), *_design(study), *_statistics(study, family))


def _trials(study: Study) -> list[str]:
    """Trials that are not finished, failed, were stopped early or did not converge."""
    limits = []
    waiting = study.states.get("RUNNING", 0) + study.states.get("WAITING", 0)
    if waiting:
        limits.append(
            f"The study is not finished: {waiting} trials are running or waiting. Report again when they are done."
        )
    if study.states.get("FAIL"):
        limits.append(f"{study.states['FAIL']} trials failed and are left out (reasons under Trials).")
    if study.states.get("PRUNED"):
        limits.append(
            f"{study.states['PRUNED']} trials were stopped early by the scheduler and are left out, which favours "
            "configurations that learn fast."
        )
    if imprecise := unconverged(Ledger.open(study.folder)):
        limits.append(
            f"In {len(imprecise)} trials the transport plans had not converged when training ended (marginal error up "
            f"to {max(error for _, error in imprecise):.2g}): more iterations or a larger epsilon would change them."
        )
    return limits


def _design(study: Study) -> list[str]:
    """Configurations and languages of the design that have no scores."""
    limits = []
    designed = len(study.info.design)
    if designed > len(study.systems):
        limits.append(
            f"The design is incomplete so far: {designed - len(study.systems)} of {designed} configurations have no "
            "scores; effects, variance shares and Shapley values are those of the configurations that have."
        )
    space = study.info.experiment.get("space", {}).get(SOURCES) or {}
    absent = [name for name in space.get("of", ()) if not any(same_language(name, known) for known in study.languages)]
    if absent:
        names = ", ".join(language_label(name) for name in absent)
        limits.append(f"No finished configuration has {names} as a source, so the report does not cover it.")
    codes = [*study.languages, *(study.target_language(target) for target in study.targets)]
    unknown = sorted({code for code in codes if not is_known_language(code)})
    if unknown:
        limits.append(
            f"No standard knows the language codes {', '.join(unknown)}: they are compared as they are written, so "
            "supervision by another spelling of the same language is not noticed."
        )
    if study.info.mode != "estimate":
        limits.append(
            "Search mode optimise: a searcher chose the configurations, so cells rest on unequal numbers of tries. Use "
            "mode estimate for a balanced answer."
        )
    return limits


def _statistics(study: Study, family: Sequence[Comparison]) -> list[str]:
    """Tests that cannot be significant, seeds that are too few, pooling that the data speak against."""
    limits = []
    for target in study.targets:
        panel = study.test(target)
        if family and not can_be_significant(panel.num_units, len(family)):
            limits.append(
                f"{study.target_labels[target]}: no difference can be significant. With {panel.units} the "
                f"smallest possible p is {smallest_p(panel.num_units):.2g}, {plural(len(family), 'test')} need "
                f"{ALPHA / len(family):.2g}. Use more topics or compare fewer source sets."
            )
        variance = panel.seed_variance
        if variance is not None and variance.equality_p < ALPHA:
            limits.append(
                f"{study.target_labels[target]}: the variance between seeds differs between systems (Brown-Forsythe p "
                f"{variance.equality_p:.3f}), so the pooled variance is too small for some of them."
            )
    if len(study.seeds) == 1:
        limits.append("One seed: no claim is made across seeds; topic tests are about these very students.")
    return limits
