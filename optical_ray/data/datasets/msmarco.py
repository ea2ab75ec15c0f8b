"""MS MARCO passages and mMARCO: queries, collection and qrels; translations with the same ids; training triples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice, zip_longest
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from optical_ray.data.examples import sentence, write_rows
from optical_ray.data.input_files import InputFile, find_file
from optical_ray.data.interface import BitextDataset, Counts, RelevanceDataset, fingerprint, pair_batches
from optical_ray.data.languages import Language
from optical_ray.data.messages import listed
from optical_ray.data.pair_filter import Pair, PairFilter
from optical_ray.data.text_files import BadLines, read_columns, texts_by_id
from optical_ray.data.topic_collection import TopicCollection
from optical_ray.types import InputError, RelevancePair

TEXT_COLUMNS = {2: "id, text"}


@dataclass(frozen=True, kw_only=True)
class MsMarcoCollection(TopicCollection):
    """Queries in ``language``, passages in ``document_language``; for mMARCO name the files of the two languages.

    Queries without judgements are dropped and counted. Fields and splits: see ``TopicCollection``. The collection has
    8.8 million passages; ``max_documents`` takes a sample with all the judged ones.
    """

    kind: Literal["msmarco"] = "msmarco"
    topics: str = "queries.dev.small.tsv"
    documents: str = "collection.tsv"
    qrels: str = "qrels.dev.small.tsv"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write 30 queries, passages and judgements."""
        return {**_write_example(folder), "language": "sw"}


@dataclass(frozen=True, kw_only=True)
class MsMarcoBitext(BitextDataset):
    """mMARCO's translations as bitext: ``files`` names one ``id, text`` file for each language, e.g.
    ``{en: queries/english.tsv, hi: queries/hindi.tsv}``, below ``root``.

    The files must have the same ids in the same order, as mMARCO's have; they are read in parallel, line by line.
    """

    kind: Literal["msmarco"] = "msmarco"
    root: str
    files: dict[Language, str] = field(hash=False)
    pivot: Language = "en"
    filter: PairFilter = field(default_factory=PairFilter)
    licence: str = "not stated"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write 30 passages and their translations."""
        return {**_write_example(folder), "files": {"en": "collection.tsv", "sw": "sw.tsv"}}

    def __post_init__(self) -> None:
        if self.pivot not in self.files or len(self.files) < 2:
            raise InputError(
                f"files: need the pivot {self.pivot!r} and another language, got {listed(sorted(self.files))}"
            )

    def languages(self) -> tuple[str, ...]:
        """Return the languages besides the pivot, sorted."""
        return tuple(sorted(set(self.files) - {self.pivot}))

    def batches(self, language: str, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Yield the pairs that pass the filter in the order of the files."""
        if language not in self.languages():
            raise InputError(f"msmarco: language {language!r} is not in files (has: {listed(self.languages())})")
        pairs = self.filter.apply(self._pairs(language), counts)
        yield from pair_batches(((pair.pair_id or "", pair.pivot, pair.foreign) for pair in pairs), counts)

    def _pairs(self, language: str) -> Iterator[Pair]:
        files = [self._file(name) for name in (self.pivot, language)]
        for first, second in zip_longest(*(read_columns(file, TEXT_COLUMNS) for file in files)):
            if first is None or second is None or first[1][0] != second[1][0]:
                places = " and ".join(
                    f"{file.name}:{row[0]} has id {row[1][0][:80]!r}" if row else f"{file.name} has ended"
                    for file, row in zip(files, (first, second), strict=True)
                )
                raise InputError(f"{places}; the files must have the same ids in the same order")
            yield Pair(first[1][1], second[1][1], first[1][0])

    def _file(self, language: str) -> InputFile:
        return find_file(f"{self.root.rstrip('/')}/{self.files[language]}")

    def fingerprint(self) -> str:
        """Return a digest of the files, their languages and the filter."""
        settings = {
            "kind": self.kind,
            "role": "bitext",
            "pivot": self.pivot,
            "filter": self.filter.settings(),
        }
        return fingerprint(settings, [f"{name} {self._file(name).digest()}" for name in sorted(self.files)])


@dataclass(frozen=True, kw_only=True)
class MsMarcoRelevance(RelevanceDataset):
    """Queries and their relevant passages from ``triples``: texts (query, relevant, other), or ids with the tables
    ``queries`` and ``collection``.

    The other passages of consecutive rows are the pair's hard negatives. ``max_pairs`` keeps the first pairs. Up to
    ``max_bad_lines`` triples that are not UTF-8 or have another number of columns are skipped, and together as many
    such lines of the two tables and pairs that name unknown ids.
    """

    kind: Literal["msmarco"] = "msmarco"
    root: str
    triples: str = "triples.train.small.tsv"
    queries: str | None = None
    collection: str | None = None
    max_pairs: int | None = None
    max_bad_lines: int = 0
    licence: str = "not stated"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write five triples of texts."""
        return _write_example(folder)

    def __post_init__(self) -> None:
        if (self.queries is None) != (self.collection is None):
            raise InputError("queries, collection: give both (triples of ids) or neither (triples of texts)")
        if self.max_pairs is not None and self.max_pairs < 1:
            raise InputError(f"max_pairs: must be >= 1, got {self.max_pairs}")
        BadLines(self.max_bad_lines, Counts())

    def pairs(self, counts: Counts, negatives: int = 0) -> Iterator[RelevancePair]:
        """Yield each pair of query and relevant passage once in a row, in the order of the triples."""
        if self.queries is None or self.collection is None:
            for _, query, passage, others in self._grouped(counts, negatives):
                yield RelevancePair(query, passage, others)
            return
        bad = BadLines(self.max_bad_lines, counts)
        named = list(self._grouped(counts, negatives))
        queries = texts_by_id(self._file(self.queries), {query for _, query, _, _ in named}, bad)
        wanted = {passage for _, _, first, others in named for passage in (first, *others)}
        passages = texts_by_id(self._file(self.collection), wanted, bad)
        for where, query, passage, others in named:
            if lacking := [identity for identity in (passage, *others) if identity not in passages]:
                bad.skip(InputError(f"{where}: passage {lacking[0][:80]!r} is not in {self.collection}"))
            elif query not in queries:
                bad.skip(InputError(f"{where}: query {query[:80]!r} is not in {self.queries}"))
            else:
                yield RelevancePair(queries[query], passages[passage], tuple(passages[other] for other in others))

    def _grouped(self, counts: Counts, negatives: int) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
        """The first ``file:line`` of each pair, its query, its relevant passage and the first ``negatives`` others."""
        for (query, passage), group in islice(groupby(self._rows(counts), lambda row: row[1:3]), self.max_pairs):
            where, others = "", dict[str, None]()
            for row, _, _, other in group:
                where = where or row
                if other and len(others) < negatives:
                    others[other] = None
            yield where, query, passage, tuple(others)

    def _rows(self, counts: Counts) -> Iterator[tuple[str, str, str, str]]:
        file, bad = self._file(self.triples), BadLines(self.max_bad_lines, counts)
        for number, columns in read_columns(file, {3: "query, relevant, other"}, bad=bad):
            query, passage, other = (column.strip() for column in columns)
            if query and passage:
                yield f"{file.name}:{number}", query, passage, other
            else:
                counts.drop("triples without text")

    def _file(self, name: str) -> InputFile:
        return find_file(f"{self.root.rstrip('/')}/{name}")

    def fingerprint(self) -> str:
        """Return a digest of the files and the number of pairs."""
        names = [name for name in (self.triples, self.queries, self.collection) if name is not None]
        settings = {"kind": self.kind, "role": "relevance", "max_pairs": self.max_pairs, "bad": self.max_bad_lines}
        return fingerprint(settings, [self._file(name).digest() for name in names])


def _write_example(folder: Path) -> dict[str, Any]:
    for name, language in (("queries.dev.small.tsv", "sw"), ("collection.tsv", "en"), ("sw.tsv", "sw")):
        write_rows(folder / name, ((i, f"{sentence(language, i)} {'abcdefghij'[i % 10]}") for i in range(30)))
    write_rows(folder / "qrels.dev.small.tsv", ((i, 0, i, 1) for i in range(30)))
    write_rows(folder / "triples.train.small.tsv", ((f"query {i}", f"good {i}", "bad") for i in range(5)))
    return {"root": str(folder)}
