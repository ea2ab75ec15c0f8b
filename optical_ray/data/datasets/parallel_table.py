"""Multi-parallel tables: TSV files with a header, with a column or with a folder for each language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from optical_ray.data.examples import sentence, write_rows
from optical_ray.data.input_files import InputFile, files_by_key, find_files
from optical_ray.data.languages import Language
from optical_ray.data.messages import listed
from optical_ray.data.text_files import read_lines
from optical_ray.data.utterance_datasets import UtteranceBitext, UtteranceCollection, UtteranceRelevance
from optical_ray.data.utterances import Utterance, UtteranceSource
from optical_ray.types import InputError

SUFFIX = ".tsv"
ESCAPE = re.compile(r"\\(.)")
ESCAPED = {"t": "\t", "n": "\n", "r": "\r"}


@dataclass(frozen=True)
class TableFiles(UtteranceSource):
    """``<partition>.tsv`` (or one file): a column of ids, one of labels, and a column of text for each language.

    With ``text`` the files are ``<folder>/<partition>.tsv``, one folder a language, and ``text`` is the text's column.
    """

    root: str
    columns: tuple[tuple[str, str], ...]
    key: str
    label: str
    escapes: bool
    text: str | None = None

    def __str__(self) -> str:
        return self.root

    def partitions(self) -> dict[str, list[str]]:
        """Return language -> the partitions whose table has its column."""
        partitions: dict[str, list[str]] = {}
        for (folder, partition), file in self._files().items():
            for language in self._columns(folder, self._header(file)):
                partitions.setdefault(language, []).append(partition)
        return dict(sorted(partitions.items()))

    def read(self, language: str, partition: str) -> Sequence[Utterance]:
        """Return the rows that have text in ``language``."""
        file, column = self._table_of(language, partition)
        header = self._header(file)
        text = header.index(column)
        key, label = header.index(self.key), header.index(self.label) if self.label in header else None
        rows: dict[str, Utterance] = {}
        for number, line in read_lines(file):
            cells = line.split("\t")
            if number == 1 or not line.strip():
                continue
            if len(cells) != len(header):
                raise InputError(f"{file.name}:{number}: got {len(cells)} columns, expected {len(header)} as in line 1")
            if cells[key] in rows:
                raise InputError(
                    f"{file.name}:{number}: {self.key} {cells[key][:80]!r} occurs a second time; must be unique"
                )
            if cells[text].strip():
                topic = "" if label is None else cells[label]
                rows[cells[key]] = Utterance(cells[key], self._unescaped(cells[text]).strip(), topic, ())
        return list(rows.values())

    def digests(self) -> list[str]:
        """Return folder, partition and digest of each file."""
        return [f"{folder} {partition} {file.digest()}".lstrip() for (folder, partition), file in self._files().items()]

    def _unescaped(self, text: str) -> str:
        return ESCAPE.sub(lambda match: ESCAPED.get(match[1], match[1]), text) if self.escapes else text

    def _header(self, file: InputFile) -> list[str]:
        header = next(line for _, line in read_lines(file)).split("\t")
        if self.key not in header:
            raise InputError(f"{file.name}:1: no column {self.key!r} in the header (has: {listed(header)}); set `key`")
        if len(set(header)) < len(header):
            twice = listed(sorted({name for name in header if header.count(name) > 1}))
            raise InputError(f"{file.name}:1: columns occur twice in the header ({twice}); rename one of each")
        for number, name in enumerate(header, start=1):
            if name.split() != [name] and name not in (self.key, self.label) and not (self.columns or self.text):
                raise InputError(
                    f"{file.name}:1: column {number} has the name {name[:40]!r}, which is not a language's code; map "
                    "the languages to their columns in `columns`"
                )
        return header

    def _table_of(self, language: str, partition: str) -> tuple[InputFile, str]:
        for (folder, name), file in self._files().items():
            if name == partition and (column := self._columns(folder, self._header(file)).get(language)) is not None:
                return file, column
        raise InputError(f"{self.root}: {language} has no partition {partition!r}")

    def _columns(self, folder: str, header: Sequence[str]) -> dict[str, str]:
        """Language -> the column of its text, in a file with this ``header`` in ``folder``."""
        if self.text is not None:
            if self.text not in header:
                raise InputError(
                    f"{self.root}: no column {self.text!r} in {folder} (has: {listed(header)}); set `text`"
                )
            named = [language for language, name in self.columns if name == folder]
            return dict.fromkeys(named if self.columns else [folder], self.text)
        if not self.columns:
            return {name: name for name in header if name not in (self.key, self.label)}
        return {language: column for language, column in self.columns if column in header}

    def _files(self) -> dict[tuple[str, str], InputFile]:
        files = [file for file in find_files(self.root) if file.base.endswith(SUFFIX)]
        if not files:
            raise InputError(f"{self.root}: no table here; expected files such as train.tsv (also .gz, .xz, .zst)")
        return files_by_key(
            ((PurePosixPath(file.relative).parent.name if self.text else "", file.base.removesuffix(SUFFIX)), file)
            for file in files
        )


def _source(
    dataset: ParallelTableBitext | ParallelTableCollection | ParallelTableRelevance,
) -> TableFiles:
    columns: Mapping[str, str] = dataset.columns
    options = (dataset.key, dataset.label, dataset.escapes, dataset.text)
    return TableFiles(dataset.root, tuple(sorted(columns.items())), *options)


def _write_example(folder: Path) -> dict[str, Any]:
    for partition in ("train", "dev", "test"):
        rows = (
            (f"{partition}{i}", f"topic {i % 3}", *(f"{sentence(k, i % 3)} {partition} {i}" for k in ("en", "sw")))
            for i in range(9)
        )
        write_rows(folder / f"{partition}.tsv", [("key", "topic", "en", "sw"), *rows])
    return {"root": str(folder)}


@dataclass(frozen=True, kw_only=True)
class ParallelTableBitext(UtteranceBitext):
    """Rows of ``<partition>.tsv`` as pairs; ``columns`` maps languages to column names, e.g. ``{sw: swh_Latn}``.

    Without ``columns`` every column except ``key`` and ``label`` is a language with the column's name. ``text`` names
    the text's column of files ``<folder>/<partition>.tsv`` with one folder a language (SIB-200); ``columns`` then maps
    languages to folders. ``escapes`` reads a backslash before a character as that character (before t, n, r: a tab or
    line end).
    """

    kind: Literal["parallel_table"] = "parallel_table"
    columns: dict[Language, str] = field(default_factory=dict, hash=False)
    key: str = "key"
    label: str = "topic"
    escapes: bool = False
    text: str | None = None
    licence: str = "not stated"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write three tables of nine rows in two languages."""
        return _write_example(folder)

    def source(self) -> TableFiles:
        """Return the reader of the files."""
        return _source(self)


@dataclass(frozen=True, kw_only=True)
class ParallelTableCollection(UtteranceCollection):
    """Rows as topics and documents; task ``intent`` means the same label, ``parallel`` the same row."""

    kind: Literal["parallel_table"] = "parallel_table"
    columns: dict[Language, str] = field(default_factory=dict, hash=False)
    key: str = "key"
    label: str = "topic"
    escapes: bool = False
    text: str | None = None
    licence: str = "not stated"
    eval_partition: str = "dev"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write three tables of nine rows in two languages."""
        return {**_write_example(folder), "language": "sw"}

    def source(self) -> TableFiles:
        """Return the reader of the files."""
        return _source(self)


@dataclass(frozen=True, kw_only=True)
class ParallelTableRelevance(UtteranceRelevance):
    """Rows of the pivot, each with another row of its label."""

    kind: Literal["parallel_table"] = "parallel_table"
    columns: dict[Language, str] = field(default_factory=dict, hash=False)
    key: str = "key"
    label: str = "topic"
    escapes: bool = False
    text: str | None = None
    licence: str = "not stated"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write three tables of nine rows in two languages."""
        return _write_example(folder)

    def source(self) -> TableFiles:
        """Return the reader of the files."""
        return _source(self)
