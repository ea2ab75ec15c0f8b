"""Bitext from files: Moses pairs, TSV, JSONL or Parquet, also compressed, in zips and behind URIs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from optical_ray.data.bitext_files import ABOUT_THE_PAIR, Layout, Portion, Row, find_portions, read_portion
from optical_ray.data.digests import fingerprint
from optical_ray.data.input_files import find_files
from optical_ray.data.interface import BitextDataset, Counts
from optical_ray.data.pair_batches import pair_batches
from optical_ray.data.pair_filter import Pair, PairFilter
from optical_ray.types import InputError


@dataclass(frozen=True, kw_only=True)
class ParallelText(BitextDataset):
    """Sentence pairs of one ``root`` (a folder) or ``path`` (a file, glob or archive): exactly one of the two is given.

    The layout of each file is known by its name (see ``bitext_files``) unless ``layout`` says it. ``language`` is the
    foreign one where neither names nor columns say it. A pair's id is a digest of its pivot text unless the file has
    ids, so that languages share the id of a sentence they share.
    """

    kind: Literal["parallel_text"] = "parallel_text"
    root: str | None = None
    path: str | None = None
    layout: Layout | None = None
    pivot: str = "en"
    language: str | None = None
    columns: tuple[str, ...] | None = None
    filter: PairFilter = field(default_factory=PairFilter)
    licence: str = "not stated"

    def __post_init__(self) -> None:
        if (self.root is None) == (self.path is None):
            raise InputError(f"parallel_text: give one of root and path, got root={self.root!r}, path={self.path!r}")
        if self.columns is not None and not {"pivot", "foreign"} <= set(self.columns) <= {*ABOUT_THE_PAIR, "-"}:
            allowed = ", ".join(ABOUT_THE_PAIR)
            raise InputError(f"columns: need pivot and foreign, allowed {allowed} and -, got {list(self.columns)}")

    def languages(self) -> tuple[str, ...]:
        """The foreign languages, sorted; reads through files whose rows name their own."""
        found: set[str] = set()
        for portion in self._portions():
            if portion.language is not None and portion.layout == "moses":
                found.add(portion.language)
            else:
                found.update(row.language for row in self._rows(portion) if row.language)
        return tuple(sorted(found))

    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the pairs of ``language`` that pass the filter, files by name, rows in their order."""
        pairs = self.filter.apply(self._pairs(language), counts)
        yield from pair_batches(((_id(pair), pair.pivot, pair.foreign) for pair in pairs), counts)
        if not counts.kept and not counts.dropped:
            raise InputError(
                f"{self.root or self.path}: no pairs in language {language!r} (has: {', '.join(self.languages())})"
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
        place = self.root or self.path or ""
        portions = find_portions(find_files(place), self.layout, self.pivot, self.language)
        if not portions:
            raise InputError(
                f"{place}: no bitext found; expected Moses pairs such as Corpus.{self.pivot}-sw.{self.pivot} beside "
                f"Corpus.{self.pivot}-sw.sw, or .tsv, .jsonl, .parquet files (also .gz, .xz, .zst, .zip)"
            )
        return portions

    def fingerprint(self) -> str:
        """A digest of the files' bytes, the languages their names say, the columns and the filter."""
        settings: dict[str, Any] = {
            "kind": self.kind,
            "pivot": self.pivot,
            "columns": self.columns,
            "filter": {name: getattr(self.filter, name) for name in sorted(PairFilter.__dataclass_fields__)},
        }
        portions = self._portions()
        settings["portions"] = [[portion.layout, portion.language, len(portion.files)] for portion in portions]
        return fingerprint(settings, [file.digest() for portion in portions for file in portion.files])


def _id(pair: Pair) -> str:
    return pair.pair_id or hashlib.blake2b(pair.pivot.encode(), digest_size=8).hexdigest()
