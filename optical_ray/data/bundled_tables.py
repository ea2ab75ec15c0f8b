"""The tables that the package ships: one row a sentence, one column a language."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optical_ray.data.input_files import digest_stream
from optical_ray.data.interface import Counts
from optical_ray.types import InputError

PIVOT = "en"
ROW_COLUMNS = ("source", "key")
"""Columns that identify a row; all others are languages."""


def read_bundled(name: str, columns: list[str] | None = None) -> pa.Table:
    """Read the bundled table ``name`` (without ``.parquet``); ``columns`` selects some of it."""
    with (files("optical_ray.data") / "bundled" / f"{name}.parquet").open("rb") as stream:
        return pq.read_table(stream, columns=columns)


def bundled_digest(name: str) -> str:
    """Return the sha256 (hex) of the bundled table ``name``."""
    with (files("optical_ray.data") / "bundled" / f"{name}.parquet").open("rb") as stream:
        return digest_stream(stream)


def column_languages(table: str, sources: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the languages of the bundled ``table`` with text in the rows of ``sources`` (``None``: all), sorted."""
    rows = _rows(table, sources, None)
    languages = set(rows.column_names) - set(ROW_COLUMNS)
    return tuple(sorted(language for language in languages if rows[language].null_count < len(rows)))


def column_pairs(
    table: str, sources: tuple[str, ...] | None, parallel: tuple[str, ...], language: str, counts: Counts
) -> Iterator[tuple[str, str, str]]:
    """Yield ``(id, English, text)`` of every row that has text in ``language`` and in all of ``parallel``."""
    known = column_languages(table, sources)
    for needed in (language, *parallel):
        if needed not in known:
            raise InputError(f"{table}: language {needed!r} is not in the data (has: {', '.join(known)})")
    columns = list(dict.fromkeys((*ROW_COLUMNS, PIVOT, language, *parallel)))
    for row in _rows(table, sources, columns).to_pylist():
        if not row[language]:
            counts.drop("no text in this language")
        elif not all(row[other] for other in parallel):
            counts.drop("no text in one of the parallel languages")
        else:
            yield f"{row['source']}/{row['key']}", row[PIVOT], row[language]


def _rows(table: str, sources: tuple[str, ...] | None, columns: list[str] | None) -> Any:
    rows = read_bundled(table, columns)
    return rows if sources is None else rows.filter(pc.is_in(rows["source"], value_set=pa.array(sources)))
