"""The chapter on source languages: Shapley values and interactions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optical_ray.languages import language_label
from optical_ray.report.figures import BLUE, GREY, ORANGE, layout, rounded, vertical
from optical_ray.report.games import Game, Solution
from optical_ray.report.page import Figure, Section
from optical_ray.report.study import Study, plural
from optical_ray.report.tables import Column, Table, Value
from optical_ray.statistics.shapley import ADDITIVE, EXACT, Share
from optical_ray.statistics.significance import CONDITIONAL


def shapley_section(study: Study, solutions: Sequence[Solution], unsolved: Sequence[Game]) -> Section:
    """Return what each source language contributes, per target."""
    text = [
        f"The Shapley value of a language is its mean marginal gain in {study.measure} over all orders in which "
        "languages could have been added; the values of a target add up to the gain of all languages together. It is "
        "linear in the per-topic scores, so it is computed per topic and seed and tested like every other difference."
    ]
    text += _method_text(study, solutions, unsolved)
    figures = tuple(
        _figure(study, target, [solution for solution in solutions if solution.game.target == target])
        for target in study.targets
        if any(solution.game.target == target for solution in solutions)
    )
    tables = (_values_table(study, solutions),) if solutions else ()
    pairs = _pairs_table(study, solutions)
    return Section(
        "languages", "What each source language contributes", tuple(text), figures=figures, tables=tables,
        folded=(pairs,) if pairs.rows else (),
    )  # fmt: skip


def _method_text(study: Study, solutions: Sequence[Solution], unsolved: Sequence[Game]) -> list[str]:
    text = []
    methods = {solution.weights.method for solution in solutions}
    if methods == {EXACT}:
        text.append("The lattice of source sets is complete: the values are exact.")
    for method in sorted(methods - {EXACT}):
        games = [solution.game for solution in solutions if solution.weights.method == method]
        missing = max(game.missing for game in games)
        total = 2 ** max(len(game.players) for game in games)
        incomplete = f"The design is incomplete ({missing} of {total} sets were not trained) for some or all targets"
        text.append(f"{incomplete if missing else 'The lattice is complete and large'}. Method: {method}.")
        if method == ADDITIVE:
            text.append("An additive model has no interactions: read these as main effects.")
    errors = [solution.efficiency_error for solution in solutions if np.isfinite(solution.efficiency_error)]
    efficient = [error for error in errors if error < 1e-9]
    if efficient:
        text.append(
            f"Efficiency checked in {len(efficient)} of {len(solutions)} games: error at most {max(efficient):.1g}."
        )
    settings = sorted({solution.game.settings for solution in solutions})
    if settings == [1]:
        text.append("v(S) is the score of the configuration of S that the matrix shows.")
    elif settings:
        text.append(
            f"v(S) is averaged over the {settings[-1]} settings (epsilon and the like) that all sets were trained with."
        )
    left_out = sorted({setting for solution in solutions for setting in solution.game.left_out})
    if left_out:
        text.append(f"Settings left out because a set lacks a seed: {'; '.join(left_out)}.")
    if unsolved:
        names = ", ".join(dict.fromkeys(study.target_labels[game.target] for game in unsolved))
        text.append(
            f"Not identified for {names}: some languages were only trained together, or too few sets were trained."
        )
    return text


def _figure(study: Study, target: str, solutions: Sequence[Solution]) -> Figure:
    variants = len({solution.game.variant for solution in solutions}) > 1
    data = []
    for index, solution in enumerate(solutions):
        name = "without the target's own language" if solution.game.transfer else "all languages"
        name = f"{name}, {solution.game.variant}" if variants else name
        colour = (BLUE, ORANGE, GREY)[(index if variants else int(solution.game.transfer)) % 3]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": rounded([share.value for share in solution.values]),
                "y": [_label(study, share, target) for share in solution.values],
                "error_x": {
                    "type": "data", "symmetric": False, "width": 0, "thickness": 1.6,
                    "array": rounded([share.interval.high - share.value for share in solution.values]),
                    "arrayminus": rounded([share.value - share.interval.low for share in solution.values]),
                },
                "marker": {"size": 10, "color": colour, "symbol": "diamond" if solution.game.transfer else "circle"},
                "hovertemplate": "%{y}: %{x:+.4f}<extra></extra>",
            }
        )  # fmt: skip
    first = solutions[0]
    interval = first.values[0].interval
    size = study.test(target).size
    labels = [_label(study, share, target) for share in sorted(first.values, key=lambda share: share.value)]
    spec = {
        "data": data,
        "layout": layout(
            f"Shapley value in {study.measure}", "", height=130 + 34 * len(labels), shapes=[vertical(0.0)],
            showlegend=len(data) > 1, yaxis={"type": "category", "categoryorder": "array", "categoryarray": labels},
        ),
    }  # fmt: skip
    seeds = plural(interval.num_seeds, "seed")
    caption = f"Test split, {size}, {seeds}; bars: 95 % intervals {interval.scope}. °: the target's own language."
    return Figure(f"shapley-{target}", f"{study.target_labels[target]}: Shapley values", caption, spec)


def language_labels(study: Study) -> dict[str, str]:
    """Return the labels of all source languages."""
    return {code: language_label(code) for code in study.languages}


def _label(study: Study, share: Share, target: str) -> str:
    return language_label(share.players[0]) + (" °" if study.holds_own(share.players, target) else "")


def _values_table(study: Study, solutions: Sequence[Solution]) -> Table:
    columns = (
        Column("target", "Target", names=study.target_labels), Column("variant", "Variant"),
        Column("language", "Language", names=language_labels(study)),
        Column("own_language", "own"), Column("game", "Game"), Column("value", "Shapley", 4, sign=True),
        Column("ci_low", "CI low", 4, sign=True), Column("ci_high", "CI high", 4, sign=True),
        Column("p_holm", "p Holm", p=True, title=CONDITIONAL), Column("topics", "topics", 0),
        Column("seeds", "seeds", 0), Column("method", "Method", wrap=True),
    )  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    for solution in solutions:
        for share, p_holm in zip(solution.values, solution.p_holm, strict=True):
            own = study.holds_own(share.players, solution.game.target)
            game = "without own language" if solution.game.transfer else "all languages"
            rows.append(
                (solution.game.target, solution.game.variant or None, share.players[0], own, game, share.value,
                 share.interval.low, share.interval.high, p_holm, share.interval.num_topics, share.interval.num_seeds,
                 solution.weights.method.partition(":")[0])
            )  # fmt: skip
    caption = (
        f"Shapley values of source languages in {study.measure}: test split; family of {len(rows)} sign-flip tests "
        f"(Holm), all p {CONDITIONAL}."
    )
    return Table("shapley", caption, columns, tuple(rows), latex=True).without_empty("variant")


def _pairs_table(study: Study, solutions: Sequence[Solution]) -> Table:
    names = language_labels(study)
    columns = (
        Column("target", "Target", names=study.target_labels), Column("variant", "Variant"), Column("game", "Game"),
        Column("language", "Language", names=names), Column("with_language", "with", names=names),
        Column("value", "interaction", 4, sign=True), Column("ci_low", "CI low", 4, sign=True),
        Column("ci_high", "CI high", 4, sign=True),
    )  # fmt: skip
    rows = tuple(
        (solution.game.target, solution.game.variant or None,
         "without own language" if solution.game.transfer else "all languages", *pair.players, pair.value,
         pair.interval.low, pair.interval.high)
        for solution in solutions
        for pair in solution.pairs
    )  # fmt: skip
    caption = (
        f"Pairwise interactions in {study.measure}: above zero two languages help each other, below zero they repeat "
        "each other; test split, 95 % intervals as for the games above."
    )
    return Table("interactions", caption, columns, rows).without_empty("variant")
