"""Figures as plotly JSON; the page adds plotly.js and the colours of its theme.

Colours follow Okabe and Ito: colour-blind readers can tell them apart, on white and on near-black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optical_ray.report.comparisons import Comparison
from optical_ray.report.page import Figure, Spec
from optical_ray.report.study import Study
from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.significance import CONDITIONAL

BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY = (
    "#2f7fc1", "#d9822b", "#009e73", "#c46aa0", "#56b4e9", "#d55e00", "#8d8d86",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY)
MOST_ROWS = 24
"""A forest plot shows at most this many source sets; the table holds all."""

INK = "@ink"
"""Replaced by the theme's ink on the page."""


def rounded(values: FloatArray | Sequence[float], digits: int = 5) -> list[float | None]:
    """Return a rounded list for JSON; None for values that are not finite."""
    return [None if not np.isfinite(value) else round(float(value), digits) for value in np.asarray(values).ravel()]


def translucent(colour: str, opacity: float) -> str:
    """Return a hex colour as rgba."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def layout(x: str, y: str, *, height: int = 340, **more: Any) -> dict[str, Any]:
    """Return the layout that all figures share; ``more`` overrides it."""
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 50, "r": 14, "t": 8, "b": 44},
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}},
        "showlegend": False,
        "hovermode": "closest",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }
    for name, value in more.items():
        base[name] = {**base[name], **value} if isinstance(value, dict) and name in base else value
    return base


def forest(study: Study, target: str, family: Sequence[Comparison]) -> Figure:
    """Return the forest plot of one target: the gain of each source set over English-only, with its interval."""
    items = sorted((item for item in family if item.target == target), key=lambda item: item.gain)
    shown, measure = items[-MOST_ROWS:], study.measure
    groups = (
        ("significant (Holm)", [item for item in shown if item.significant], "circle", BLUE),
        ("not significant", [item for item in shown if not item.significant], "circle-open", GREY),
    )
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": rounded([item.gain for item in group]),
            "y": [_own_label(study, item) for item in group],
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": rounded([item.interval.high - item.gain for item in group]),
                "arrayminus": rounded([item.gain - item.interval.low for item in group]),
                "thickness": 1.6,
                "width": 0,
            },
            "marker": {"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1.6}},
            "customdata": [[item.p_holm, item.mean] for item in group],
            "hovertemplate": "%{y}<br>%{x:+.3f}, p Holm %{customdata[0]:.4f}<br>"
            + measure
            + " %{customdata[1]:.3f}<extra></extra>",
        }
        for name, group, symbol, colour in groups
        if group
    ]
    first = items[0].interval
    more = f" The best {len(shown)} of {len(items)} are drawn." if len(shown) < len(items) else ""
    spec = {
        "data": data,
        "layout": layout(
            f"gain in {measure} over English-only",
            "",
            height=96 + 23 * len(shown),
            yaxis={
                "categoryorder": "array",
                "categoryarray": [_own_label(study, item) for item in shown],
                "type": "category",
            },
            shapes=[vertical(0.0)],
            showlegend=len(data) > 1,
        ),
    }
    return Figure(
        f"forest-{target}",
        f"{study.target_labels[target]}: gain of each source set",
        f"Test split, {study.test(target).size}; bars: 95 % intervals {first.scope}. Filled: Holm p below .05 over "
        f"{len(family)} tests, {CONDITIONAL}. °: the target's own language is a source." + more,
        spec,
    )


def _own_label(study: Study, item: Comparison) -> str:
    return study.short_label(item.label) + (" °" if item.own else "")


def vertical(x: float) -> dict[str, Any]:
    """Return a thin line through ``x`` over the whole height."""
    line = {"color": INK, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def horizontal(y: float) -> dict[str, Any]:
    """Return a thin line through ``y`` over the whole width."""
    line = {"color": INK, "width": 1, "dash": "dot"}
    return {"type": "line", "y0": y, "y1": y, "x0": 0, "x1": 1, "xref": "paper", "line": line}


@dataclass(frozen=True)
class Line:
    """A curve; ``low`` and ``high`` are its band; ``faint`` curves are grey and have no markers."""

    name: str
    x: FloatArray
    y: FloatArray
    low: FloatArray | None = None
    high: FloatArray | None = None
    faint: bool = False


def lines(
    curves: Sequence[Line], x: str, y: str, *, log: bool = False, level: float | None = None, height: int = 320
) -> Spec:
    """Return curves with bands; ``level`` draws a horizontal reference line."""
    data: list[dict[str, Any]] = []
    bold = 0
    for curve in curves:
        colour = GREY if curve.faint else COLOURS[bold % len(COLOURS)]
        bold += 0 if curve.faint else 1
        if curve.low is not None and curve.high is not None:
            there = np.isfinite(curve.low) & np.isfinite(curve.high)
            around = np.concatenate([curve.x[there], curve.x[there][::-1]])
            edge = np.concatenate([curve.high[there], curve.low[there][::-1]])
            data.append(
                {"type": "scatter", "x": rounded(around, 8), "y": rounded(edge), "fill": "toself", "mode": "lines",
                 "line": {"width": 0}, "fillcolor": translucent(colour, 0.2), "hoverinfo": "skip", "showlegend": False}
            )  # fmt: skip
        data.append(
            {"type": "scatter", "x": rounded(curve.x, 8), "y": rounded(curve.y), "name": curve.name,
             "mode": "lines" if curve.faint else "lines+markers", "opacity": 0.45 if curve.faint else 1.0,
             "line": {"color": colour, "width": 1 if curve.faint else 2.4}, "marker": {"size": 7},
             "hovertemplate": f"{curve.name}<br>%{{x:.4g}}: %{{y:.4f}}<extra></extra>",
             "showlegend": not curve.faint}
        )  # fmt: skip
    more: dict[str, Any] = {"xaxis": {"type": "log"}} if log else {}
    if level is not None:
        more["shapes"] = [horizontal(level)]
    return {"data": data, "layout": layout(x, y, height=height, showlegend=bold > 1, **more)}
