"""The chapter on source languages: Shapley values, interactions, and what goes with the gain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from optical_ray.analysis.effects import Comparison, Matrix
from optical_ray.analysis.figures import BLUE, GREY, ORANGE, layout, rounded, vertical
from optical_ray.analysis.games import Game, Solution
from optical_ray.analysis.page import Figure, Section
from optical_ray.analysis.predictors import Correlation, qap, shared_script, source_pretraining, subword_overlap, uriel
from optical_ray.analysis.shapley import ADDITIVE, EXACT, Share
from optical_ray.analysis.significance import CONDITIONAL, holm
from optical_ray.analysis.study import FloatArray, Study
from optical_ray.analysis.tables import Column, Table, Value

MOST_LABELS = 12
"""A scatter plot with more points than this names them on hovering alone."""


def shapley_section(study: Study, solutions: Sequence[Solution], unsolved: Sequence[Game]) -> Section:
    """What each source language brings, per target."""
    text = [
        f"The Shapley value of a language is its mean marginal gain in {study.measure} over all orders in which "
        "languages could have been added; the values of a target add up to the gain of all languages together. It is "
        "linear in the per-topic scores, so it is computed per topic and seed and tested as every other difference."
    ]
    text += _method_words(solutions, unsolved)
    figures = tuple(
        _figure(study, target, [found for found in solutions if found.game.target == target])
        for target in study.targets
        if any(found.game.target == target for found in solutions)
    )
    tables = (_values_table(study, solutions),) if solutions else ()
    pairs = _pairs_table(study, solutions)
    return Section(
        "languages", "What each source language brings", tuple(text), figures=figures, tables=tables,
        folded=(pairs,) if pairs.rows else (),
    )  # fmt: skip


def _method_words(solutions: Sequence[Solution], unsolved: Sequence[Game]) -> list[str]:
    words = []
    methods = {found.weights.method for found in solutions}
    if methods == {EXACT}:
        words.append("The lattice of source sets is complete: the values are exact.")
    for method in sorted(methods - {EXACT}):
        games = [found.game for found in solutions if found.weights.method == method]
        missing = max(game.missing for game in games)
        total = 2 ** max(len(game.players) for game in games)
        incomplete = f"The design is incomplete ({missing} of {total} sets were not trained) for some or all targets: "
        words.append(f"{incomplete if missing else 'The lattice is complete and large: '}{method}.")
        if method == ADDITIVE:
            words.append("An additive model cannot see interactions: read these as main effects.")
    errors = [found.efficiency_error for found in solutions if np.isfinite(found.efficiency_error)]
    efficient = [error for error in errors if error < 1e-9]
    if efficient:
        words.append(
            f"Efficiency checked in {len(efficient)} of {len(solutions)} games: off by at most {max(efficient):.1g}."
        )
    settings = sorted({found.game.settings for found in solutions})
    if settings == [1]:
        words.append("v(S) is the configuration of S that the matrix shows.")
    elif settings:
        words.append(
            f"v(S) is averaged over the {settings[-1]} settings (epsilon and the like) that all sets were trained with."
        )
    if unsolved:
        names = ", ".join(dict.fromkeys(game.target for game in unsolved))
        words.append(
            f"Not identified for {names}: some languages were only ever trained together, or too few sets are there."
        )
    return words


def _figure(study: Study, target: str, solutions: Sequence[Solution]) -> Figure:
    variants = len({found.game.variant for found in solutions}) > 1
    data = []
    for index, found in enumerate(solutions):
        name = "without the target's own language" if found.game.transfer else "all languages"
        name = f"{name}, {found.game.variant}" if variants else name
        colour = (BLUE, ORANGE, GREY)[(index if variants else int(found.game.transfer)) % 3]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": rounded([share.value for share in found.values]),
                "y": [_label(study, share, target) for share in found.values],
                "error_x": {
                    "type": "data", "symmetric": False, "width": 0, "thickness": 1.6,
                    "array": rounded([share.interval.high - share.value for share in found.values]),
                    "arrayminus": rounded([share.value - share.interval.low for share in found.values]),
                },
                "marker": {"size": 10, "color": colour, "symbol": "diamond" if found.game.transfer else "circle"},
                "hovertemplate": "%{y}: %{x:+.4f}<extra></extra>",
            }
        )  # fmt: skip
    first = solutions[0]
    interval = first.values[0].interval
    labels = [_label(study, share, target) for share in sorted(first.values, key=lambda share: share.value)]
    spec = {
        "data": data,
        "layout": layout(
            f"Shapley value in {study.measure}", "", height=130 + 34 * len(labels), shapes=[vertical(0.0)],
            showlegend=len(data) > 1, yaxis={"type": "category", "categoryorder": "array", "categoryarray": labels},
        ),
    }  # fmt: skip
    seeds = f"{interval.num_seeds} seed{'s' if interval.across_seeds else ''}"
    caption = (
        f"Test split, {interval.num_topics} topics, {seeds}; bars: 95 % intervals {interval.scope}. ° own language."
    )
    return Figure(f"shapley-{target}", f"{target}: Shapley values", caption, spec)


def _label(study: Study, share: Share, target: str) -> str:
    return share.players[0] + (" °" if study.holds_own(share.players, target) else "")


def _values_table(study: Study, solutions: Sequence[Solution]) -> Table:
    columns = (
        Column("target", "Target"), Column("variant", "Variant"), Column("language", "Language"),
        Column("own_language", "own"), Column("game", "Game"), Column("value", "Shapley", 4, sign=True),
        Column("ci_low", "CI low", 4, sign=True), Column("ci_high", "CI high", 4, sign=True),
        Column("p_holm", "p Holm", p=True, title=CONDITIONAL), Column("topics", "topics", 0),
        Column("seeds", "seeds", 0), Column("method", "Method", wrap=True),
    )  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    for found in solutions:
        for share, p_holm in zip(found.values, found.p_holm, strict=True):
            own = study.holds_own(share.players, found.game.target)
            game = "without own language" if found.game.transfer else "all languages"
            rows.append(
                (found.game.target, found.game.variant or None, share.players[0], own, game, share.value,
                 share.interval.low, share.interval.high, p_holm, share.interval.num_topics, share.interval.num_seeds,
                 found.weights.method.split(":")[0])
            )  # fmt: skip
    caption = (
        f"Shapley values of source languages in {study.measure}: test split; family of {len(rows)} sign-flip tests "
        f"(Holm), all p {CONDITIONAL}."
    )
    return Table("shapley", caption, columns, tuple(rows), latex=True).without_empty("variant")


def _pairs_table(study: Study, solutions: Sequence[Solution]) -> Table:
    columns = (
        Column("target", "Target"), Column("variant", "Variant"), Column("game", "Game"), Column("one", "Language"),
        Column("two", "with"), Column("value", "interaction", 4, sign=True), Column("ci_low", "CI low", 4, sign=True),
        Column("ci_high", "CI high", 4, sign=True),
    )  # fmt: skip
    rows = tuple(
        (found.game.target, found.game.variant or None,
         "without own language" if found.game.transfer else "all languages", *pair.players, pair.value,
         pair.interval.low, pair.interval.high)
        for found in solutions
        for pair in found.pairs
    )  # fmt: skip
    caption = (
        f"Pairwise interactions in {study.measure}: above zero two languages help each other, below zero they repeat "
        "each other; test split, 95 % intervals over the topics and seeds of the games above."
    )
    return Table("interactions", caption, columns, rows).without_empty("variant")


def predictor_section(study: Study, cells: Matrix, family: Sequence[Comparison], folder: Path) -> Section | None:
    """What goes with the gain of single-source sets; ``None`` where too few of them were trained."""
    singles = sorted({item.sources[0] for item in family if len(item.sources) == 1 and item.label == item.sources[0]})
    targets = [study.target_language(target) for target in cells.targets]
    gains = np.full((len(singles), len(targets)), np.nan)
    for item in family:
        if len(item.sources) == 1 and item.label in singles and not item.own:
            gains[singles.index(item.label), cells.targets.index(item.target)] = item.gain
    if (~np.isnan(gains)).sum() < 4:
        return None
    languages = sorted({*singles, *targets})
    rows, columns = [languages.index(name) for name in singles], [languages.index(name) for name in targets]
    candidates = {
        "shared script": shared_script(languages),
        "source's pretraining text (log GiB, XLM-R)": source_pretraining(languages),
        **uriel(languages),
    }
    overlap = subword_overlap(languages, folder / "overlap.json")
    if overlap is not None:
        candidates["subword overlap"] = overlap
    found = [qap(gains, table, rows, columns, name=name) for name, table in candidates.items()]
    usable = [item for item in found if item is not None]
    if not usable:
        return None
    adjusted = holm(np.array([item.p for item in usable]))
    missing = "" if uriel(languages) else " The lang2vec package is not installed, so URIEL distances are missing."
    first = usable[0]
    text = (
        f"Gains of single-source sets ({len(singles)} sources, {len(set(targets))} targets, own-language cells left "
        "out) against what is known of the languages. p by Mantel's test: languages are relabelled, rows and columns "
        "together." + missing,
        f"{first.num_languages} languages show little: the pairs share languages, so there are only "
        f"{first.num_relabellings:,} relabellings, the smallest p is about {1 / first.num_relabellings:.2g}, and a "
        f"correlation must pass |ρ| = {first.critical:.2f} (first row) to be rare by chance. Read these as "
        "descriptions.",
    )
    table = _correlation_table(study, usable, adjusted)
    figures = tuple(_scatter(study, item, gains, singles, cells.targets) for item in usable[:6])
    return Section("predictors", "What goes with the gain", text, figures=figures, tables=(table,))


def _correlation_table(study: Study, usable: Sequence[Correlation], adjusted: FloatArray) -> Table:
    columns = (
        Column("predictor", "Predictor"), Column("rho", "Spearman ρ", 2, sign=True),
        Column("p_qap", "p QAP", p=True, title=CONDITIONAL), Column("p_holm", "p Holm", p=True, title=CONDITIONAL),
        Column("critical", "|ρ| by chance (95 %)", 2), Column("cells", "pairs", 0), Column("languages", "languages", 0),
        Column("relabellings", "relabellings", 0),
    )  # fmt: skip
    rows = tuple(
        (
            item.name,
            item.rho,
            item.p,
            float(p),
            item.critical,
            item.num_cells,
            item.num_languages,
            item.num_relabellings,
        )
        for item, p in zip(usable, adjusted, strict=True)
    )
    caption = (
        f"Predictors of the gain in {study.measure} of single-source sets: test split; {len(rows)} Mantel tests "
        f"(Holm), p {CONDITIONAL}."
    )
    return Table("predictors", caption, columns, rows)


def _scatter(
    study: Study, item: Correlation, gains: FloatArray, singles: Sequence[str], targets: Sequence[str]
) -> Figure:
    cells = np.argwhere(~np.isnan(gains) & ~np.isnan(item.values))
    data = [
        {
            "type": "scatter",
            "mode": "markers+text" if len(cells) <= MOST_LABELS else "markers",
            "x": rounded([item.values[row, column] for row, column in cells]),
            "y": rounded([gains[row, column] for row, column in cells]),
            "text": [f"{singles[row]}→{targets[column]}" for row, column in cells],
            "textposition": "top center",
            "textfont": {"size": 10},
            "marker": {"size": 8, "color": BLUE},
            "hovertemplate": "%{text}: %{x:.3g}, %{y:+.4f}<extra></extra>",
        }
    ]
    name = "predictor-" + "".join(letter if letter.isalnum() else "-" for letter in item.name)
    caption = f"One point a source→target pair, test split; ρ = {item.rho:+.2f} over {item.num_cells} pairs."
    return Figure(name, item.name, caption, {"data": data, "layout": layout(item.name, f"gain in {study.measure}")})
