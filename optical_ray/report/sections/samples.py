"""The chapter on samples of preparation and trials: overlap, alignments, languages retrieved; all optional.

``overlap.json``: ``{"de": {"sw": 0.21}}`` source -> target -> share of the target's subwords that the source contains.
``alignment/*.json``: one pair each, ``{"language", "epsilon", "pivot_tokens": [N], "tokens": [M], "plan": [M][N]}``.
``language_mix.json`` in a trial's or baseline's folder: ``{"sw": {"en": 0.9, "fr": 0.1}}`` target -> language -> share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optical_ray.languages import language_label
from optical_ray.report.comparisons import Comparison
from optical_ray.report.figures import COLOURS, layout
from optical_ray.report.page import Figure, Section
from optical_ray.report.study import Study
from optical_ray.report.tables import Column, Table, Value
from optical_ray.study.files import read_json
from optical_ray.study.layout import UNDISTILLED, ResultFolder, StudyFolder

MOST_SAMPLES = 12
MOST_TOKENS = 60


def sample_section(study: Study, chosen: Sequence[Comparison]) -> Section | None:
    """Return overlap table, alignment heat maps and language mix; None if the study has none of them."""
    folder = StudyFolder(study.folder)
    figures = [*_alignments(folder), *_mixes(study, folder, chosen)]
    tables = _overlap(study, folder)
    if not figures and not tables:
        return None
    text = ("Samples from preparation and trials, to look at; nothing here is tested.",)
    return Section("samples", "Alignments and languages", text, figures=tuple(figures), tables=tables)


def _overlap(study: Study, folder: StudyFolder) -> tuple[Table, ...]:
    if not folder.overlap.is_file():
        return ()
    known: Mapping[str, Mapping[str, float]] = read_json(folder.overlap)
    targets = list(dict.fromkeys(target for row in known.values() for target in row))
    targets.sort(key=lambda name: study.targets.index(name) if name in study.targets else len(study.targets))
    sources = {code: language_label(code) for code in known}
    columns = (
        Column("source", "Source", names=sources),
        *(Column(target, study.target_labels.get(target, language_label(target)), 3) for target in targets),
    )
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (source, *(row.get(target) for target in targets)) for source, row in sorted(known.items())
    )
    return (
        Table(
            "overlap", "Subword overlap of sources and targets, from the tokenised data of this study.", columns, rows
        ),
    )


def _alignments(folder: StudyFolder) -> list[Figure]:
    figures = []
    for path in sorted(folder.alignment.glob("*.json"))[:MOST_SAMPLES]:
        sample: dict[str, Any] = read_json(path)
        plan, tokens, pivot = sample.get("plan"), sample.get("tokens"), sample.get("pivot_tokens")
        if not plan or not tokens or not pivot:
            continue
        rows, columns = list(tokens)[:MOST_TOKENS], list(pivot)[:MOST_TOKENS]
        weights = [[round(float(value), 5) for value in row[: len(columns)]] for row in plan[: len(rows)]]
        data = [
            {"type": "heatmap", "z": weights, "colorscale": "Cividis", "showscale": False,
             "x": list(range(len(columns))), "y": list(range(len(rows))),
             "hovertemplate": "%{z:.4f}<extra></extra>"}
        ]  # fmt: skip
        spec = {
            "data": data,
            "layout": layout(
                "English", str(sample.get("language", "")), height=150 + 18 * len(rows),
                xaxis={"tickvals": list(range(len(columns))), "ticktext": columns, "tickangle": -50},
                yaxis={"tickvals": list(range(len(rows))), "ticktext": rows, "autorange": "reversed"},
            ),
        }  # fmt: skip
        epsilon = f", ε = {sample['epsilon']}" if "epsilon" in sample else ""
        caption = f"Transport plan of one pair{epsilon}; rows and columns are subwords, brighter cells have more mass."
        figures.append(Figure(f"alignment-{path.stem}", f"Alignment {path.stem}", caption, spec))
    return figures


def _mixes(study: Study, folder: StudyFolder, chosen: Sequence[Comparison]) -> list[Figure]:
    """Stacked bars: the languages of retrieved documents, for English-only and each chosen set."""
    bars: list[tuple[str, Mapping[str, float]]] = []
    before = _mix(folder.baseline(UNDISTILLED))
    for item in chosen:
        keys = study.systems[item.system].keys
        after = _mix(folder.trial(keys[0]))
        if item.target in before:
            bars.append((f"{study.target_labels[item.target]}: English-only", before[item.target]))
        if item.target in after:
            bars.append((f"{study.target_labels[item.target]}: {item.label}", after[item.target]))
    bars = list(dict(bars).items())
    if not bars:
        return []
    languages = sorted({language for _, mix in bars for language in mix})
    data = [
        {"type": "bar", "orientation": "h", "name": language_label(language), "y": [name for name, _ in bars],
         "x": [round(float(mix.get(language, 0.0)), 4) for _, mix in bars],
         "marker": {"color": COLOURS[index % len(COLOURS)]}}
        for index, language in enumerate(languages)
    ]  # fmt: skip
    spec = {
        "data": data,
        "layout": layout(
            "share of retrieved documents", "", height=140 + 28 * len(bars), barmode="stack", showlegend=True,
            yaxis={"autorange": "reversed"},
        ),
    }  # fmt: skip
    return [
        Figure("mix", "Languages retrieved", "Test split, first seed of each chosen configuration.", spec, wide=True)
    ]


def _mix(folder: ResultFolder) -> Mapping[str, Mapping[str, float]]:
    path = folder.path / "language_mix.json"
    mix: Mapping[str, Mapping[str, float]] = read_json(path) if path.is_file() else {}
    return mix
