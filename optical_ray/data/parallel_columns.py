"""Multi-parallel tables that are shipped with the package: one row a sentence, one column a language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from optical_ray.data.bundled_tables import read_bundled
from optical_ray.data.interface import Counts
from optical_ray.types import InputError

PIVOT = "en"
ABOUT_THE_ROW = ("source", "key")


def column_languages(table: str, sources: tuple[str, ...] | None) -> tuple[str, ...]:
    """The languages of the bundled ``table`` that have text in the rows of ``sources`` (``None``: all rows), sorted."""
    rows = _rows(table, sources, None)
    languages = set(rows.column_names) - set(ABOUT_THE_ROW)
    return tuple(sorted(language for language in languages if rows[language].null_count < len(rows)))


def column_pairs(
    table: str, sources: tuple[str, ...] | None, parallel: tuple[str, ...], language: str, counts: Counts
) -> Iterator[tuple[str, str, str]]:
    """Yield ``(id, English, text)`` of every row that has text in ``language`` and in all of ``parallel``."""
    known = column_languages(table, sources)
    for wanted in (language, *parallel):
        if wanted not in known:
            raise InputError(f"{table}: language {wanted!r} is not in the data (has: {', '.join(known)})")
    needed = list(dict.fromkeys((*ABOUT_THE_ROW, PIVOT, language, *parallel)))
    for row in _rows(table, sources, needed).to_pylist():
        if not row[language]:
            counts.drop("no text in this language")
        elif not all(row[other] for other in parallel):
            counts.drop("no text in one of the parallel languages")
        else:
            yield f"{row['source']}/{row['key']}", row[PIVOT], row[language]


def _rows(table: str, sources: tuple[str, ...] | None, columns: list[str] | None) -> Any:
    rows = read_bundled(table, columns)
    return rows if sources is None else rows.filter(pc.is_in(rows["source"], value_set=pa.array(sources)))
