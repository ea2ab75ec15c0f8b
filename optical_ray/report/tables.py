"""Tables: one definition for the page, the CSV, the Parquet and the LaTeX file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from optical_ray.study.files import write_atomic

Value = str | float | int | bool | None


def p_value(value: float) -> str:
    """Return a p-value without its leading zero.

    >>> p_value(0.0004), p_value(0.25), p_value(1.0)
    ('< .001', '.250', '1.000')
    """
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def p_equation(value: float) -> str:
    """Return ``p = .250`` or ``p < .001``."""
    return f"p {p_value(value)}" if value < 0.001 else f"p = {p_value(value)}"


def signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign, a true minus included.

    >>> signed(-0.12345), signed(0.5)
    ('−0.123', '+0.500')
    """
    return f"{value:+.{digits}f}".replace("-", "−")


@dataclass(frozen=True)
class Column:
    """A column: ``name`` in files, ``label`` for readers; ``digits``, ``sign`` and ``p`` format its numbers.

    ``wrap`` lets long texts break over lines on the page. ``names`` maps values to what readers see, such as codes to
    names of languages; files keep the values.
    """

    name: str
    label: str
    digits: int | None = None
    sign: bool = False
    p: bool = False
    title: str = ""
    wrap: bool = False
    names: Mapping[str, str] = field(default_factory=dict)

    def text(self, value: Value) -> str:
        """Return ``value`` as a reader sees it; a dash if it is missing."""
        if _missing(value):
            return "–"
        if isinstance(value, bool):
            return "yes" if value else ""
        if isinstance(value, str):
            return self.names.get(value, value)
        assert value is not None
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        if self.p:
            return p_value(value)
        shown = f"{value:{'+' if self.sign else ''}.{self.digits}f}" if self.digits is not None else f"{value:,}"
        return shown.replace("-", "−")

    @property
    def numeric(self) -> bool:
        """Whether the column is aligned right and sorted by value."""
        return self.digits is not None or self.p


@dataclass(frozen=True)
class Table:
    """A table whose ``caption`` states split, topics, seeds and family, so that it is complete in a paper."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    latex: bool = False
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.name

    def csv(self) -> str:
        """Return comma-separated values in full precision with a header line; missing numbers are empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([column.name for column in self.columns])
        writer.writerows([["" if _missing(value) else value for value in row] for row in self.rows])
        return stream.getvalue()

    def arrow(self) -> pa.Table:
        """Return the Parquet content, one typed column each."""
        columns: dict[str, list[Value]] = {}
        for index, column in enumerate(self.columns):
            values = [None if _missing(row[index]) else row[index] for row in self.rows]
            kinds = {type(value) for value in values if value is not None}
            mixed = str in kinds and len(kinds) > 1
            columns[column.name] = [str(value) if mixed and value is not None else value for value in values]
            if kinds == {int, float}:
                columns[column.name] = [None if value is None else float(value) for value in values]
        return pa.table(columns)

    def without_empty(self, name: str) -> Table:
        """Return the table without the column ``name`` if that column is empty."""
        index = [column.name for column in self.columns].index(name)
        if any(not _missing(row[index]) for row in self.rows):
            return self
        rows = tuple((*row[:index], *row[index + 1 :]) for row in self.rows)
        return replace(self, columns=(*self.columns[:index], *self.columns[index + 1 :]), rows=rows)

    def tex(self) -> str:
        """Return a booktabs table; it needs only ``\\usepackage{booktabs}``."""
        align = "".join("r" if column.numeric else "l" for column in self.columns)
        head = " & ".join(_escape(column.label) for column in self.columns)
        body = "\n".join(
            "  "
            + " & ".join(_escape(column.text(value)) for column, value in zip(self.columns, row, strict=True))
            + r" \\"
            for row in self.rows
        )
        lines = [
            r"\begin{table}", r"  \centering", rf"  \caption{{{_escape(self.caption)}}}",
            rf"  \label{{tab:{self.name}}}",
            rf"  \begin{{tabular}}{{{align}}}", r"  \toprule", f"  {head} \\\\", r"  \midrule", body, r"  \bottomrule",
            r"  \end{tabular}", r"\end{table}", "",
        ]  # fmt: skip
        return "\n".join(lines)


def write_tables(folder: Path, tables: Sequence[Table]) -> tuple[Path, ...]:
    """Write every table as CSV and Parquet, the main ones also as LaTeX, and return the paths."""
    written: list[Path] = []
    for table in tables:
        write_atomic(folder / f"{table.name}.csv", table.csv())
        written.append(folder / f"{table.name}.csv")
        sink = pa.BufferOutputStream()
        pq.write_table(table.arrow(), sink)
        write_atomic(folder / f"{table.name}.parquet", sink.getvalue().to_pybytes())
        written.append(folder / f"{table.name}.parquet")
        if table.latex:
            write_atomic(folder / f"{table.name}.tex", table.tex())
            written.append(folder / f"{table.name}.tex")
    return tuple(written)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _escape(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
               "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": r"$-$", "–": "--",
               "∞": r"$\infty$", "°": r"$^\circ$", "τ": r"$\tau$", "ρ": r"$\rho$", "×": r"$\times$", "√": r"$\surd$",
               "±": r"$\pm$", "Δ": r"$\Delta$", "†": r"$\dagger$", "<": r"$<$", ">": r"$>$"}  # fmt: skip
    return "".join(special.get(character, character) for character in text)
