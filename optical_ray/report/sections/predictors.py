"""The chapter on predictors of the gain: properties of languages against the gain of single-source sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optical_ray.languages import language_label, short_code
from optical_ray.report.comparisons import Comparison
from optical_ray.report.figures import BLUE, layout, rounded
from optical_ray.report.matrix import Matrix
from optical_ray.report.page import Figure, Section
from optical_ray.report.predictors import shared_script, source_pretraining, subword_overlap, uriel
from optical_ray.report.study import Study
from optical_ray.report.tables import Column, Table, signed
from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.relabelling import FEWEST_CELLS, Correlation, mantel
from optical_ray.statistics.significance import CONDITIONAL, holm
from optical_ray.study.layout import StudyFolder

MOST_LABELS = 12
"""A scatter plot with more points than this shows their names only in tooltips."""

MOST_FIGURES = 6


def predictor_section(study: Study, cells: Matrix, family: Sequence[Comparison]) -> Section | None:
    """Return what goes with the gain of single-source sets; None if too few of them were trained."""
    singles = sorted({item.sources[0] for item in family if len(item.sources) == 1 and item.label == item.sources[0]})
    targets = [study.target_language(target) for target in cells.targets]
    gains = np.full((len(singles), len(targets)), np.nan)
    for item in family:
        if len(item.sources) == 1 and item.label in singles and not item.own:
            gains[singles.index(item.label), cells.targets.index(item.target)] = item.gain
    if (~np.isnan(gains)).sum() < FEWEST_CELLS:
        return None
    languages = sorted({short_code(code) for code in (*singles, *targets)})
    rows = [languages.index(short_code(code)) for code in singles]
    columns = [languages.index(short_code(code)) for code in targets]
    distances = uriel(languages)
    candidates = {
        "shared script": shared_script(languages),
        "source's pretraining text (log GiB, XLM-R)": source_pretraining(languages),
        **distances,
    }
    overlap = subword_overlap(languages, StudyFolder(study.folder).overlap)
    if overlap is not None:
        candidates["subword overlap"] = overlap
    tested = [mantel(gains, table, rows, columns, name=name) for name, table in candidates.items()]
    usable = [item for item in tested if item is not None]
    if not usable:
        return None
    adjusted = holm(np.array([item.p for item in usable]))
    missing = "" if distances else " The lang2vec package is not installed, so URIEL distances are missing."
    first = usable[0]
    text = (
        f"Gains of single-source sets ({len(singles)} sources, {len(set(targets))} targets, own-language cells left "
        "out) against properties of the languages. p by Mantel's test: languages are relabelled, rows and columns "
        "together." + missing,
        f"{first.num_languages} languages show little: pairs share languages, so there are only "
        f"{first.num_relabellings:,} relabellings, the smallest p is about {1 / first.num_relabellings:.2g}, and only "
        f"a correlation above |ρ| = {first.critical:.2f} (first row) is rare by chance. Read these as descriptions.",
    )
    table = _correlation_table(study, usable, adjusted)
    figures = tuple(_scatter(study, item, gains, singles, cells.targets) for item in usable[:MOST_FIGURES])
    return Section("predictors", "What goes with the gain", text, figures=figures, tables=(table,))


def _correlation_table(study: Study, usable: Sequence[Correlation], adjusted: FloatArray) -> Table:
    columns = (
        Column("predictor", "Predictor"), Column("rho", "Spearman ρ", 2, sign=True),
        Column("p_mantel", "p Mantel", p=True, title=CONDITIONAL),
        Column("p_holm", "p Holm", p=True, title=CONDITIONAL),
        Column("critical", "|ρ| by chance (95 %)", 2), Column("cells", "pairs", 0), Column("languages", "languages", 0),
        Column("relabellings", "relabellings", 0),
    )  # fmt: skip
    rows = tuple(
        (item.name, item.rho, item.p, float(p), item.critical, item.num_cells, item.num_languages,
         item.num_relabellings)
        for item, p in zip(usable, adjusted, strict=True)
    )  # fmt: skip
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
            "hovertext": [
                f"{language_label(singles[row])}→{study.target_labels[targets[column]]}" for row, column in cells
            ],
            "textposition": "top center",
            "textfont": {"size": 10},
            "marker": {"size": 8, "color": BLUE},
            "hovertemplate": "%{hovertext}: %{x:.3g}, %{y:+.4f}<extra></extra>",
        }
    ]
    name = "predictor-" + "".join(letter if letter.isalnum() else "-" for letter in item.name)
    caption = f"Each point is a source→target pair, test split; ρ = {signed(item.rho, 2)} over {item.num_cells} pairs."
    return Figure(name, item.name, caption, {"data": data, "layout": layout(item.name, f"gain in {study.measure}")})
