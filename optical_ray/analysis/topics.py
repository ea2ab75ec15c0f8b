"""The chapter on topics: how gains spread, wins and losses, and the queries that gained and lost most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optical_ray.analysis.effects import Comparison
from optical_ray.analysis.figures import BLUE, ORANGE, layout, vertical
from optical_ray.analysis.headlines import signed
from optical_ray.analysis.page import Figure, Section
from optical_ray.analysis.study import ENGLISH_ONLY, TEST, FloatArray, Study
from optical_ray.analysis.tables import Column, Table, Value

NUM_SHOWN = 10
NUM_BINS = 40


def differences(study: Study, item: Comparison) -> tuple[FloatArray, FloatArray]:
    """(T seed-mean scores, T English-only scores) of the compared configuration on the test topics."""
    panel = study.test(item.target)
    return np.asarray(panel.present(item.system).mean(axis=0)), panel.baselines[ENGLISH_ONLY]


def topic_section(study: Study, chosen: Sequence[Comparison], folder: Path) -> Section:
    """Histograms, wins and losses, and the ten most helped and most hurt queries of each chosen set."""
    texts = _texts(folder / "topics.parquet")
    figures = tuple(_histogram(study, item) for item in chosen)
    text = [
        "Per-topic differences of the chosen source sets from English-only, each topic averaged over the trained seeds."
    ]
    if not texts:
        text.append("The study holds no query texts (topics.parquet), so topics are named by their ids.")
    return Section(
        "topics", "Topic by topic", tuple(text), figures=figures, tables=(_wins_table(study, chosen),),
        folded=(_extremes_table(study, chosen, texts),),
    )  # fmt: skip


def _texts(path: Path) -> Mapping[tuple[str, str], str]:
    """(target, topic id) -> the query's text, of the test split; empty without the file."""
    if not path.is_file():
        return {}
    table = pq.read_table(path, columns=["split", "target", "topic_id", "text"])
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
        f"Test split, {len(moved)} topics ({unchanged} unchanged, not drawn), {item.interval.num_seeds} "
        f"seed{'s' if item.interval.across_seeds else ''}; mean {signed(item.gain)}, median "
        f"{signed(float(np.median(moved)))}."
    )
    title = f"{item.target}: {item.label}" + (" (supervision)" if item.own else "")
    spec = {
        "data": data,
        "layout": layout(f"difference in {study.metric}", "topics", height=260, bargap=0, shapes=[vertical(0.0)]),
    }
    return Figure(f"topics-{item.target}-{int(item.own)}", title, caption, spec)


def _wins_table(study: Study, chosen: Sequence[Comparison]) -> Table:
    columns = (
        Column("target", "Target"), Column("source_set", "Source set"), Column("own_language", "own"),
        Column("wins", "wins", 0), Column("ties", "ties", 0), Column("losses", "losses", 0),
        Column("topics", "topics", 0),
        Column("median", "median difference", 3, sign=True), Column("d_z", "d_z", 2, sign=True),
    )  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    for item in chosen:
        scores, base = differences(study, item)
        moved = scores - base
        wins, losses = int((moved > 0).sum()), int((moved < 0).sum())
        rows.append(
            (item.target, item.label, item.own, wins, len(moved) - wins - losses, losses, len(moved),
             float(np.median(moved)), item.effect.d_z)
        )  # fmt: skip
    caption = "Wins and losses against English-only by topic: test split, scores averaged over seeds."
    return Table("wins", caption, columns, tuple(rows))


def _extremes_table(study: Study, chosen: Sequence[Comparison], texts: Mapping[tuple[str, str], str]) -> Table:
    columns = (
        Column("target", "Target"), Column("source_set", "Source set"), Column("side", "Side"),
        Column("topic_id", "Topic"),
        Column("text", "Query", wrap=True), Column("english_only", "English-only", 3), Column("score", study.metric, 3),
        Column("difference", "difference", 3, sign=True),
    )  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    for item in chosen:
        scores, base = differences(study, item)
        moved = scores - base
        topics = study.test(item.target).topics
        order = np.argsort(moved, kind="stable")
        sides = (("helped", order[::-1][:NUM_SHOWN], moved > 0), ("hurt", order[:NUM_SHOWN], moved < 0))
        for side, places, wanted in sides:
            rows += [
                (item.target, item.label, side, topics[place], texts.get((item.target, topics[place])),
                 float(base[place]), float(scores[place]), float(moved[place]))
                for place in places.tolist()
                if wanted[place]
            ]  # fmt: skip
    caption = f"The {NUM_SHOWN} most helped and most hurt queries of each chosen set. Test split, means over seeds."
    return Table("extremes", caption, columns, tuple(rows))
