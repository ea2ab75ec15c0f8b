"""Bitext from files: Moses pairs, TSV, JSONL or Parquet, also compressed, in archives and behind URIs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from optical_ray.data.bitext_files import PAIR_KEYS, Layout, Portion, Row, find_portions, read_portion
from optical_ray.data.examples import SENTENCES, write_lines
from optical_ray.data.input_files import find_files
from optical_ray.data.interface import BitextDataset, Counts, fingerprint, pair_batches
from optical_ray.data.languages import Language
from optical_ray.data.messages import listed
from optical_ray.data.pair_filter import Pair, PairFilter
from optical_ray.types import InputError


@dataclass(frozen=True, kw_only=True)
class ParallelText(BitextDataset):
    """Sentence pairs of one ``root`` (a folder) or ``path`` (a file, glob or archive); exactly one of them is given.

    The layout of each file follows from its name (see ``bitext_files``) unless ``layout`` states it. ``language`` is
    the foreign language of files whose names and columns do not state one. The order of the two texts in a TSV file is
    that of the languages in its name: ``x.de-en.tsv`` has German first; ``columns`` states another one. A pair's id is
    a digest of its pivot text unless the file has ids, so that languages that share a sentence share its id.
    """

    kind: Literal["parallel_text"] = "parallel_text"
    root: str | None = None
    path: str | None = None
    layout: Layout | None = None
    pivot: Language = "en"
    language: Language | None = None
    columns: tuple[str, ...] | None = None
    filter: PairFilter = field(default_factory=PairFilter)
    licence: str = "not stated"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write a Moses pair of three lines."""
        for language, texts in SENTENCES.items():
            write_lines(folder / f"Web.en-sw.{language}", texts)
        return {"root": str(folder)}

    def __post_init__(self) -> None:
        if (self.root is None) == (self.path is None):
            raise InputError(f"parallel_text: give one of root and path, got root={self.root!r}, path={self.path!r}")
        if self.columns is not None and not {"pivot", "foreign"} <= set(self.columns) <= {*PAIR_KEYS, "-"}:
            allowed = ", ".join(PAIR_KEYS)
            raise InputError(f"columns: need pivot and foreign, allowed {allowed} and -, got {listed(self.columns)}")

    def languages(self) -> tuple[str, ...]:
        """Return the foreign languages, sorted; files whose rows state their language are read completely."""
        languages: set[str] = set()
        for portion in self._portions():
            if portion.language is not None and portion.layout == "moses":
                languages.add(portion.language)
            else:
                languages.update(row.language for row in self._rows(portion) if row.language)
        return tuple(sorted(languages))

    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the pairs of ``language`` that pass the filter, files by name, rows in their order."""
        pairs = self.filter.apply(self._pairs(language), counts)
        yield from pair_batches(((_id(pair), pair.pivot, pair.foreign) for pair in pairs), counts)
        if not counts.kept and not counts.dropped:
            raise InputError(
                f"{self.root or self.path}: no pairs in language {language!r} (has: {listed(self.languages())})"
            )

    def _pairs(self, language: str) -> Iterator[Pair]:
        for portion in self._portions():
            if portion.layout == "moses" and portion.language != language:
                continue
            for row in self._rows(portion):
                if row.language in (language, ""):
                    yield row.pair

    def _rows(self, portion: Portion) -> Iterator[Row]:
        return read_portion(portion, self.pivot, self.columns)

    def _portions(self) -> list[Portion]:
        path = self.root or self.path or ""
        files = find_files(path)
        portions = find_portions(files, self.layout, self.pivot, self.language)
        if not portions:
            names = listed(file.relative for file in files)
            raise InputError(
                f"{path}: no bitext found (has: {names}); expected Moses pairs such as "
                f"Corpus.{self.pivot}-sw.{self.pivot} next to Corpus.{self.pivot}-sw.sw, or .tsv, .jsonl, .parquet "
                "files (also .gz, .xz, .zst, .zip). Set `layout` if a file has another suffix"
            )
        return portions

    def fingerprint(self) -> str:
        """Return a digest of the files' bytes, the languages in their names, the columns and the filter."""
        settings: dict[str, Any] = {
            "kind": self.kind,
            "pivot": self.pivot,
            "columns": self.columns,
            "filter": self.filter.settings(),
        }
        portions = self._portions()
        settings["portions"] = [
            [portion.layout, portion.language, len(portion.files), portion.columns] for portion in portions
        ]
        return fingerprint(settings, [file.digest() for portion in portions for file in portion.files])


def _id(pair: Pair) -> str:
    return pair.pair_id or hashlib.blake2b(pair.pivot.encode(), digest_size=8).hexdigest()
