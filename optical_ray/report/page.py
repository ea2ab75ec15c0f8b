"""The elements of a report's page (sections of text, figures and tables), and its rendering as one file."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

import jinja2

from optical_ray.report.tables import Table

Spec = dict[str, Any]
"""A plotly figure as JSON: ``{"data": [...], "layout": {...}}``; the page adds the colours of its theme."""


@dataclass(frozen=True)
class Figure:
    """A plotly figure; ``caption`` states split, topics and seeds; ``wide`` takes the full width of the page."""

    name: str
    title: str
    caption: str
    spec: Spec
    wide: bool = False


@dataclass(frozen=True)
class HeatCell:
    """A cell of the matrix: ``weight`` in [-1, 1] is its colour, ``marks`` its signs, ``hint`` its tooltip."""

    text: str
    value: float | None
    small: str = ""
    marks: str = ""
    weight: float = 0.0
    best: bool = False
    own: bool = False
    hint: str = ""


@dataclass(frozen=True)
class HeatRow:
    """A row of the matrix; ``control`` for baselines, which stay on top when the table is sorted."""

    label: str
    cells: tuple[HeatCell, ...]
    control: bool = False


@dataclass(frozen=True)
class HeatTable:
    """The source set x target matrix as a table that can be sorted, printed and read by a screen reader."""

    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    caption: str
    legend: tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """A headline: the plain sentence, the gain in large letters, and the evidence below."""

    target: str
    sentence: str
    figure: str
    evidence: str
    badge: str
    tone: str


@dataclass(frozen=True)
class Section:
    """A chapter: ``text`` are paragraphs, ``folded`` tables are closed at first."""

    name: str
    title: str
    text: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    heat: HeatTable | None = None
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()
    code: str = ""
    notes: tuple[str, ...] = field(default=())


def render(title: str, lead: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Return the page as one HTML text that refers to nothing outside of its folder."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("optical_ray.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    specs = {figure.name: figure.spec for section in sections for figure in section.figures}
    return environment.get_template("report.html.j2").render(
        title=title,
        lead=lead,
        facts=facts,
        sections=sections,
        style=_asset("style.css"),
        script=_asset("page.js"),
        plotly=_plotly() if specs else "",
        specs=_inline_json(specs),
    )


def _asset(name: str) -> str:
    return (files("optical_ray.report") / "templates" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _plotly() -> str:
    """plotly.js as gzip in base64: a third of its size; the browser unpacks it."""
    source = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(source, 9, mtime=0)).decode()


def _inline_json(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
