"""Sentences and writers for the small examples that data sets bring (``Dataset.example``)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SENTENCES = {
    "en": ("set an alarm now", "what is this thing", "hello there my friend"),
    "sw": ("weka kengele sasa hivi", "hiki ni kitu gani", "habari rafiki yangu mpendwa"),
}
"""Three sentences and their translations."""


def sentence(language: str, number: int) -> str:
    """Return sentence ``number`` of ``language``; numbers above 2 repeat the sentences with the number at the end."""
    return f"{SENTENCES[language][number % 3]} {number}"


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write ``lines`` to ``path``, in a folder that is created if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_rows(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write ``rows`` as tab-separated lines."""
    write_lines(path, ("\t".join(map(str, row)) for row in rows))


def write_objects(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write ``records`` as JSON lines."""
    write_lines(path, map(json.dumps, records))
