"""One sentence per target that survives review: chosen on eval, reported on test, with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optical_ray.analysis.effects import Comparison, Matrix, Selection, cross_fit
from optical_ray.analysis.significance import CONDITIONAL
from optical_ray.analysis.study import EVAL, TEST, Study


@dataclass(frozen=True)
class Headline:
    """The answer for one target. ``kind``: "any" (all source sets) or "transfer" (own-language sets left out)."""

    target: str
    kind: str
    text: str
    comparison: Comparison
    selection: Selection | None

    @property
    def line(self) -> str:
        """The sentence as a terminal shows it: the target first."""
        return f"{self.target}: {self.text}"


def headlines(study: Study, cells: Matrix, family: Sequence[Comparison]) -> tuple[Headline, ...]:
    """A sentence per target; a second one without the own-language sets where the best set holds the target."""
    found: list[Headline] = []
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
            selection = cross_fit(study, item, transfer=kind == "transfer")
            evidence = _evidence(study, item, len(family), selection)
            text = f"{_name(study, item, kind)}: {evidence}; {_regret(cells, column, row, kind)}"
            found.append(Headline(target, kind, text, item, selection))
    return tuple(found)


def _name(study: Study, item: Comparison, kind: str) -> str:
    language = study.target_language(item.target)
    if kind == "transfer":
        return f"best source set {item.label} once {language} itself is left out"
    return f"best source set {item.label}" + (
        f" (holds {language} itself: supervision, not transfer)" if item.own else ""
    )


def _evidence(study: Study, item: Comparison, num_tests: int, selection: Selection | None) -> str:
    """The score, the gain, how sure it is, and how it was chosen."""
    interval = item.interval
    seeds = f"{interval.num_seeds} seeds" if interval.across_seeds else "1 seed: no claim across seeds"
    with_seeds = f"; with seeds as a level p_Holm {p_text(item.p_seeds_holm)}" if interval.across_seeds else ""
    chosen = "chosen on eval" if (EVAL, item.target) in study.panels else "chosen on the test topics themselves"
    if selection is not None:
        chosen += f", {signed(selection.gain)} where chosen without the seed it is judged on"
    verdict = ""
    if not item.significant:
        verdict = f"; not significant, minimum detectable difference {item.effect.detectable:.3f}"
    elif interval.across_seeds and not item.robust:
        verdict = f"; over {num_tests} tests {interval.num_seeds} seeds do not establish it for other seeds"
    return (
        f"{study.measure} {item.mean:.3f}, {signed(item.gain)} over English-only (95 % CI [{signed(interval.low)}, "
        f"{signed(interval.high)}] {interval.scope}, p_Holm {p_text(item.p_holm)} over {num_tests} tests, "
        f"{CONDITIONAL}{with_seeds}, {interval.num_topics} {TEST} topics, {seeds}; {chosen}){verdict}"
    )


def _regret(cells: Matrix, column: int, row: int, kind: str) -> str:
    """What the all-round set, best on eval over all targets, costs on this target's test topics."""
    other = cells.all_round(without_own=column if kind == "transfer" else None)
    if len(cells.targets) == 1 or other < 0:
        return "no other target to choose a set for"
    if other == row:
        return "also the best set over all targets"
    cost = float(cells.test[row, column] - cells.test[other, column])
    return f"regret of choosing {cells.labels[other]}, best over all targets: {signed(cost)}"


def signed(value: float) -> str:
    """Three digits with the sign, a true minus for a terminal and a page alike."""
    return f"{value:+.3f}".replace("-", "−")


def p_text(value: float) -> str:
    """``= 0.002`` or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
