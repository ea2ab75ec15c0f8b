"""The answer for each target: a plain sentence and the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf, isnan

from optical_ray.languages import language_label
from optical_ray.report.comparisons import Comparison, Selection, cross_fit
from optical_ray.report.matrix import Matrix
from optical_ray.report.study import EVAL, Study, plural
from optical_ray.report.tables import p_equation, p_value, signed
from optical_ray.statistics.power import can_be_significant
from optical_ray.statistics.significance import CONDITIONAL

COMMON = (
    "Source sets are chosen on the eval split and judged on the test split. Gains are over English-only, the same "
    f'student before distillation. p is adjusted by Holm over the whole family and {CONDITIONAL}; "with seeds" '
    "it also covers training again."
)
"""What all headlines have in common."""


@dataclass(frozen=True)
class Headline:
    """The answer for one target.

    ``kind`` is "any" (all source sets) or "transfer" (sets with the target's own language left out). ``sentence`` is
    the plain answer, ``evidence`` the numbers behind it, ``helps`` whether the chosen set has a significant gain and
    ``any_helps`` whether any set of that kind has.
    """

    target: str
    kind: str
    sentence: str
    evidence: str
    comparison: Comparison
    selection: Selection | None
    helps: bool
    any_helps: bool

    @property
    def text(self) -> str:
        """Sentence and evidence, for a terminal."""
        return f"{self.sentence}\n    {self.evidence}"


def headlines(study: Study, cells: Matrix, family: Sequence[Comparison]) -> tuple[Headline, ...]:
    """Return an answer per target, and a second one without the target's own language if the best set has it."""
    answers: list[Headline] = []
    by_cell = {(item.target, item.label): item for item in family}
    for column, target in enumerate(cells.targets):
        best, transfer = cells.best(column), cells.best(column, transfer=True)
        if best < 0:
            continue
        rows = {"any": best, "transfer": transfer} if transfer not in (best, -1) else {"any": best}
        for kind, row in rows.items():
            item = by_cell.get((target, cells.labels[row]))
            if item is None:
                continue
            rivals = [other for other in family if other.target == target and not (kind == "transfer" and other.own)]
            selection = cross_fit(study, item, transfer=kind == "transfer")
            evidence = "; ".join(
                [
                    *_evidence(study, item),
                    *_choice(study, cells, item, selection, column, row, kind),
                    *_all_round(study, cells, column, row, kind),
                ]
            )
            helping = [other for other in rivals if other.helps]
            sentence = _sentence(study, item, kind, helping)
            answers.append(Headline(target, kind, sentence, f"{evidence}.", item, selection, item.helps, bool(helping)))
    return tuple(answers)


def set_name(sources: Sequence[str]) -> str:
    """Return source languages for a sentence.

    >>> set_name(["de", "hi"])
    'German (de) and Hindi (hi)'
    """
    names = [language_label(code) for code in sources]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _set(study: Study, item: Comparison) -> str:
    variant = study.systems[item.system].variant
    return f"{set_name(item.sources)} bitext" + (f" ({variant})" if variant else "")


def _sentence(study: Study, item: Comparison, kind: str, helping: Sequence[Comparison]) -> str:
    """The plain answer."""
    target = study.target_labels[item.target]
    gain = f"{signed(item.gain)} {study.measure}, {p_equation(item.p_holm)}"
    if item.helps:
        own = " (supervision, not transfer)" if item.own else ""
        return f"{_set(study, item)} helps {target}{own}: {gain}"
    left_out = f" without {target} itself" if kind == "transfer" else ""
    if helping:
        best = max(helping, key=lambda other: other.gain)
        effect = "hurts" if item.significant else "has no significant effect on"
        more = f", most of {len(helping)} sets that help" if len(helping) > 1 else ""
        return (
            f"{_set(study, item)}, chosen on eval{left_out}, {effect} {target} ({gain}), but {_set(study, best)} helps "
            f"({signed(best.gain)}{more})"
        )
    panel = study.test(item.target)
    if not can_be_significant(panel.num_units, item.num_tests):
        return (
            f"{target}: the design cannot show that a set{left_out} helps ({panel.units}, "
            f"{plural(item.num_tests, 'test')}); English-only remains the default"
        )
    harm = f"; {_set(study, item)}, chosen on eval, hurts: {gain}" if item.significant else ""
    return f"{target}: no set{left_out} helps; stay with English-only{harm}"


def interval_text(item: Comparison) -> str:
    """Return the interval in brackets; the reason if topics are too few for one."""
    low, high = item.interval.low, item.interval.high
    if isnan(low):
        unit = "group of topics" if item.interval.num_groups else "topic"
        return f"no interval from 1 {unit}"
    return f"95 % CI [{signed(low)}, {signed(high)}] {item.interval.scope}"


def detectable_text(item: Comparison) -> str:
    """Return the minimum detectable difference of the test that gave the verdict, or why it does not exist."""
    if item.significant and item.interval.across_seeds:
        return f"minimum detectable difference with seeds {item.detectable_seeds:.3f}"
    value = item.effect.detectable
    if isnan(value):
        return "too few topics to estimate a minimum detectable difference"
    if isinf(value):
        return f"no difference can be significant with so few topics and {plural(item.num_tests, 'test')}"
    return f"minimum detectable difference {value:.3f}"


def _evidence(study: Study, item: Comparison) -> list[str]:
    """The scores, the gain and how certain it is."""
    interval = item.interval
    set_label = "+".join(item.sources)
    parts = [
        f"{set_label}: {study.measure} {item.mean:.3f}, English-only {item.baseline:.3f}, gain {signed(item.gain)}, "
        f"{interval_text(item)}",
        f"Holm p over {plural(item.num_tests, 'test')} {p_value(item.p_holm)}",
    ]
    if interval.across_seeds:
        parts[-1] += f", with seeds {p_value(item.p_seeds_holm)}"
    if not item.significant:
        parts.append(f"not significant, {detectable_text(item)}")
    elif interval.across_seeds and not item.robust:
        parts.append(f"{interval.num_seeds} seeds do not establish it for other seeds, {detectable_text(item)}")
    seeds = f"{interval.num_seeds} seeds" if interval.num_seeds > 1 else "1 seed: no claim across seeds"
    return [*parts, f"{study.test(item.target).size} of the test split, {seeds}"]


def _choice(
    study: Study, cells: Matrix, item: Comparison, selection: Selection | None, column: int, row: int, kind: str
) -> list[str]:
    """How the set was chosen, and what was to gain by choosing on test."""
    split = "chosen on eval" if (EVAL, item.target) in study.panels else "chosen on the test topics themselves"
    if selection is not None:
        split += f" ({signed(selection.gain)} if chosen without the seed it is judged on)"
    best = cells.best_on_test(column, transfer=kind == "transfer")
    if best in (row, -1):
        return [split, "also the best set on test"]
    gap = float(cells.test[best, column] - cells.test[row, column])
    return [split, f"best set on test {cells.labels[best]}, {signed(gap)}"]


def _all_round(study: Study, cells: Matrix, column: int, row: int, kind: str) -> list[str]:
    """What the best set on eval over all targets costs on this target's test topics."""
    without_own = column if kind == "transfer" else None
    other = cells.all_round(without_own=without_own)
    if len(cells.targets) == 1 or other < 0:
        return []
    among = f"the best of {cells.num_rows(without_own=without_own)} sets over all {len(cells.targets)} targets on eval"
    if kind == "transfer":
        among += f" without {study.target_name(cells.targets[column])}"
    if other == row:
        return [f"also {among}"]
    cost = float(cells.test[row, column] - cells.test[other, column])
    return [f"{among} is {cells.labels[other]}; choosing it instead changes the score by {signed(-cost)}"]
