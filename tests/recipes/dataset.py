"""A CSV file of sentence pairs: a column of ids, the pivot's column, and a column for each other language."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from optical_ray.data.input_files import find_file
from optical_ray.data.interface import BitextDataset, Counts, fingerprint, pair_batches
from optical_ray.data.languages import Language
from optical_ray.data.text_files import read_lines
from optical_ray.types import InputError


@dataclass(frozen=True, kw_only=True)
class CsvBitext(BitextDataset):
    """The rows of the CSV file ``path`` whose header names the languages: ``id,en,sw,so``."""

    kind: Literal["csv"] = "csv"
    path: str
    pivot: Language = "en"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write two rows in two languages."""
        rows = "id,en,sw\n1,good morning to all,habari za asubuhi\n2,what is this,hiki ni nini\n"
        (folder / "pairs.csv").write_text(rows, encoding="utf-8")
        return {"path": str(folder / "pairs.csv")}

    def languages(self) -> tuple[str, ...]:
        """Return the languages besides the pivot, sorted."""
        return tuple(sorted(set(next(self._rows())[1]) - {"id", self.pivot}))

    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the pairs in the order of the file."""
        if language not in self.languages():
            raise InputError(f"{self.path}: no column {language!r} (has: {', '.join(self.languages())})")
        yield from pair_batches(self._pairs(language, counts), counts)

    def _pairs(self, language: str, counts: Counts) -> Iterator[tuple[str, str, str]]:
        for _, row in self._rows():
            if row[self.pivot] and row[language]:
                yield row["id"], row[self.pivot], row[language]
            else:
                counts.drop("empty")

    def _rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        file = find_file(self.path)
        reader = csv.DictReader((line for _, line in read_lines(file)), strict=True)
        for number, row in enumerate(reader, start=2):
            if None in row or None in row.values() or not {"id", self.pivot} <= set(row):
                raise InputError(f"{file.name}:{number}: expected one text for each column, 'id' and {self.pivot!r}")
            yield number, row

    def fingerprint(self) -> str:
        """Return a digest of the file and the pivot."""
        return fingerprint({"kind": self.kind, "pivot": self.pivot}, [find_file(self.path).digest()])

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return "not stated"
