from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq

from optical_ray.report.tables import Column, Table, write_tables

TABLE = Table(
    "cells",
    "Scores of 50 % & more",
    (Column("source_set", "Source_set"), Column("gain", "Gain", 3, sign=True), Column("p_holm", "p", p=True)),
    (("de+hi", -0.12345678901234, 0.0004), ("so", float("nan"), 0.25), ("none", None, None)),
    latex=True,
)


def test_files_hold_full_precision(tmp_path: Path) -> None:
    assert [path.name for path in write_tables(tmp_path, [TABLE])] == ["cells.csv", "cells.parquet", "cells.tex"]
    with open(tmp_path / "cells.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[0]["gain"]) == -0.12345678901234
    assert rows[1]["gain"] == ""
    table = pq.read_table(tmp_path / "cells.parquet").to_pylist()
    assert table[0]["gain"] == -0.12345678901234
    assert table[1]["gain"] is None


def test_readers_see_rounded_numbers() -> None:
    gain, p = TABLE.columns[1], TABLE.columns[2]
    assert gain.text(-0.12345) == "−0.123"
    assert gain.text(0.5) == "+0.500"
    assert p.text(0.0004) == "< .001"
    assert p.text(0.25) == ".250"
    assert p.text(float("nan")) == "–"


def test_latex_is_escaped() -> None:
    text = TABLE.tex()
    assert r"50 \% \& more" in text
    assert r"Source\_set" in text
    assert r"de+hi & $-$0.123 & $<$ .001 \\" in text


def test_a_mixed_column_becomes_text(tmp_path: Path) -> None:
    mixed = Table("mixed", "", (Column("value", "Value"),), ((1,), ("two",), (None,)))
    assert mixed.arrow()["value"].to_pylist() == ["1", "two", None]
