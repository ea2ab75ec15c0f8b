"""The chapter on topics: the distribution of gains, wins and losses, and the most helped and hurt queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optical_ray.report.comparisons import Comparison
from optical_ray.report.figures import BLUE, ORANGE, layout, vertical
from optical_ray.report.page import Figure, Section
from optical_ray.report.study import TEST, Study, plural
from optical_ray.report.tables import Column, Table, Value, signed
from optical_ray.statistics.arrays import FloatArray
from optical_ray.study.layout import UNDISTILLED, StudyFolder

NUM_SHOWN = 10
NUM_BINS = 40


def differences(study: Study, item: Comparison) -> tuple[FloatArray, FloatArray]:
    """Return T scores of the compared configuration (means over seeds) and T of English-only, on the test topics."""
    panel = study.test(item.target)
    return np.asarray(panel.present(item.system).mean(axis=0)), panel.baselines[UNDISTILLED]


def topic_section(study: Study, chosen: Sequence[Comparison]) -> Section:
    """Return histograms, wins and losses, and the most helped and hurt queries of each chosen set."""
    texts = _texts(StudyFolder(study.folder))
    figures = tuple(_histogram(study, item) for item in chosen)
    text = [
        "Per-topic differences of the chosen source sets from English-only, each topic averaged over the trained seeds."
    ]
    if not texts:
        text.append("The study has no query texts (topics.parquet), so topics are named by their ids.")
    return Section(
        "topics", "Topic by topic", tuple(text), figures=figures, tables=(_wins_table(study, chosen),),
        folded=(_extremes_table(study, chosen, texts),),
    )  # fmt: skip


def _texts(study: StudyFolder) -> Mapping[tuple[str, str], str]:
    """(target, topic id) -> text of the query, for the test split; empty without the file."""
    if not study.topics.is_file():
        return {}
    table = pq.read_table(study.topics, columns=["split", "target", "topic_id", "text"])
    table = table.filter(pc.equal(table["split"], TEST))
    pairs = zip(table["target"].to_pylist(), table["topic_id"].to_pylist(), strict=True)
    return dict(zip(pairs, table["text"].to_pylist(), strict=True))


def _histogram(study: Study, item: Comparison) -> Figure:
    scores, base = differences(study, item)
    moved = scores - base
    limit = max(float(np.abs(moved).max()), 1e-3)
    counts, edges = np.histogram(moved[moved != 0], bins=np.linspace(-limit, limit, NUM_BINS + 1))
    centres = (edges[:-1] + edges[1:]) / 2
    colours = [BLUE if centre > 0 else ORANGE for centre in centres]
    data = [
        {"type": "bar", "x": np.round(centres, 5).tolist(), "y": counts.tolist(), "width": float(edges[1] - edges[0]),
         "marker": {"color": colours, "line": {"width": 0}}, "hovertemplate": "%{x:+.3f}: %{y} topics<extra></extra>"}
    ]  # fmt: skip
    unchanged = int((moved == 0).sum())
    caption = (
        f"Test split, {study.test(item.target).size} ({unchanged} unchanged, not drawn), "
        f"{plural(item.interval.num_seeds, 'seed')}; mean {signed(item.gain)}, median "
        f"{signed(float(np.median(moved)))}."
    )
    title = f"{study.target_labels[item.target]}: {study.set_labels[item.label]}" + (
        " (supervision)" if item.own else ""
    )
    spec = {
        "data": data,
        "layout": layout(
            f"difference in {study.per_topic_measure}", "topics", height=260, bargap=0, shapes=[vertical(0.0)]
        ),
    }
    return Figure(f"topics-{item.target}-{int(item.own)}", title, caption, spec)


def _wins_table(study: Study, chosen: Sequence[Comparison]) -> Table:
    columns = (
        Column("target", "Target", names=study.target_labels),
        Column("source_set", "Source set", names=study.set_labels), Column("own_language", "own"),
        Column("wins", "wins", 0), Column("ties", "ties", 0), Column("losses", "losses", 0),
        Column("topics", "topics", 0), Column("groups_won", "groups won", 0), Column("groups_lost", "groups lost", 0),
        Column("median", "median difference", 3, sign=True), Column("d_z", "d_z", 2, sign=True),
    )  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    for item in chosen:
        scores, base = differences(study, item)
        moved = scores - base
        wins, losses = int((moved > 0).sum()), int((moved < 0).sum())
        groups = study.test(item.target).groups
        sums = None if groups is None else groups.sums(moved)[0]
        rows.append(
            (item.target, item.label, item.own, wins, len(moved) - wins - losses, losses, len(moved),
             None if sums is None else int((sums > 0).sum()), None if sums is None else int((sums < 0).sum()),
             float(np.median(moved)), item.effect.d_z)
        )  # fmt: skip
    caption = "Wins and losses against English-only by topic: test split, scores averaged over seeds."
    table = Table("wins", caption, columns, tuple(rows))
    return table.without_empty("groups_won").without_empty("groups_lost")


def _extremes_table(study: Study, chosen: Sequence[Comparison], texts: Mapping[tuple[str, str], str]) -> Table:
    columns = (
        Column("target", "Target", names=study.target_labels),
        Column("source_set", "Source set", names=study.set_labels), Column("side", "Side"),
        Column("topic_id", "Topic"),
        Column("text", "Query", wrap=True), Column("english_only", "English-only", 3),
        Column("score", study.per_topic_measure, 3),
        Column("difference", "difference", 3, sign=True),
    )  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    for item in chosen:
        scores, base = differences(study, item)
        moved = scores - base
        topics = study.test(item.target).topics
        order = np.argsort(moved, kind="stable")
        sides = (("helped", order[::-1][:NUM_SHOWN], moved > 0), ("hurt", order[:NUM_SHOWN], moved < 0))
        for side, indices, wanted in sides:
            rows += [
                (item.target, item.label, side, topics[index], texts.get((item.target, topics[index])),
                 float(base[index]), float(scores[index]), float(moved[index]))
                for index in indices.tolist()
                if wanted[index]
            ]  # fmt: skip
    caption = f"Queries: the {NUM_SHOWN} most helped and most hurt by each chosen set; test split, means over seeds."
    return Table("extremes", caption, columns, tuple(rows))
