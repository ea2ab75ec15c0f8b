"""BEIR folders: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv`` with a header line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from optical_ray.data.collection_assembly import (
    EmptyText,
    Judgement,
    UnjudgedPool,
    assemble,
    gather,
    require_fraction,
    require_split,
    split_by_id,
)
from optical_ray.data.examples import sentence, write_objects, write_rows
from optical_ray.data.input_files import InputFile, files_by_key, find_files
from optical_ray.data.interface import CollectionDataset, Counts, RelevanceDataset, fingerprint
from optical_ray.data.languages import Language, document_language
from optical_ray.data.messages import listed
from optical_ray.data.text_files import read_columns, read_objects, text_of
from optical_ray.data.trec_files import GRADE, parse_grade, titled
from optical_ray.types import Collection, Document, InputError, RelevancePair, Topic

HEADER = ["query-id", "corpus-id", "score"]


@dataclass(frozen=True, kw_only=True)
class BeirCollection(CollectionDataset):
    """Queries in ``language``, corpus in ``document_language``; ``root`` is a folder or a zip of one.

    A document of the corpus that states its ``language`` (or ``metadata.lang``) has that one, so the pool may be mixed.
    ``eval_qrels`` and ``test_qrels`` name files of ``qrels/`` without ``.tsv``; if both name the same, its queries are
    divided by a hash of the id, ``eval_fraction`` of them to eval. ``metadata`` keeps only queries that have these
    values in their ``metadata``, e.g. ``{lang: hau}``; ``query_text`` reads another field, e.g. ``metadata.english``.
    ``translations`` names the fields that hold the query in other languages, for baselines: ``{en: metadata.english}``.
    A judgement of a document outside the pool is refused or, with ``unjudged_pool: drop``, dropped and counted.
    """

    kind: Literal["beir"] = "beir"
    root: str
    language: Language
    document_language: Language = "en"
    eval_qrels: str = "dev"
    test_qrels: str = "test"
    eval_fraction: float = 0.3
    metadata: dict[str, str] = field(default_factory=dict, hash=False)
    query_text: str = "text"
    translations: dict[Language, str] = field(default_factory=dict, hash=False)
    relevance_level: int = 1
    empty_text: EmptyText = "refuse"
    unjudged_pool: UnjudgedPool = "refuse"
    licence: str = "not stated"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write 20 queries, documents and judgements."""
        return {**_write_example(folder), "language": "sw"}

    def __post_init__(self) -> None:
        require_fraction(self.eval_fraction)
        if self.relevance_level < 1:
            raise InputError(f"relevance_level: must be >= 1, got {self.relevance_level}")

    def load(self, split: str) -> Collection:
        """Read the split ``eval`` or ``test``."""
        require_split("beir", split)
        files = find_files(self.root)
        name = self.eval_qrels if split == "eval" else self.test_qrels
        judgements = list(_read_qrels(_member(files, f"qrels/{name}.tsv", self.root)))
        dropped: dict[str, int] = {}
        topics = self._topics(_member(files, "queries.jsonl", self.root), judgements, dropped)
        if self.eval_qrels == self.test_qrels:
            topics = split_by_id(topics, split, self.eval_fraction)
        elif split == "eval" and (other := _optional(files, f"qrels/{self.test_qrels}.tsv")) is not None:
            tested = {judgement.topic_id for judgement in _read_qrels(other)}
            if shared := sorted(topic.topic_id for topic in topics if topic.topic_id in tested):
                raise InputError(f"{other.name}: query {shared[0]!r} is in {name} too; splits share no queries")
        corpus = _read_corpus(_member(files, "corpus.jsonl", self.root), self.document_language)
        documents, empty = gather(corpus, "document", self.empty_text, dropped)
        return assemble(
            "/".join(("beir", self.language, *self.metadata.values())),
            split,
            topics,
            documents,
            judgements,
            relevance_level=self.relevance_level,
            licence=self.licence,
            dropped=dropped,
            absent_documents=empty,
            unjudged_pool=self.unjudged_pool,
        )

    def topic_texts(self, split: str, language: str) -> dict[str, str] | None:
        """Return the queries' field that ``translations`` names for ``language``."""
        path = self.translations.get(language)
        if path is None:
            return None
        file = _member(find_files(self.root), "queries.jsonl", self.root)
        texts = {}
        for number, record in read_objects(file):
            where = f"{file.name}:{number}"
            try:
                texts[text_of(record.get("_id"), where, "_id")] = text_of(_field(record, path), where, path)
            except InputError:
                continue  # a query without a translation
        return texts

    def _topics(self, file: InputFile, judgements: list[Judgement], dropped: dict[str, int]) -> list[Topic]:
        unknown = {judgement.topic_id: judgement.where for judgement in reversed(judgements)}
        judged = set(unknown)
        wanted: list[tuple[str, Topic]] = []
        for number, record in read_objects(file):
            where = f"{file.name}:{number}"
            identity = text_of(record.get("_id"), where, "_id")
            unknown.pop(identity, None)
            metadata = record.get("metadata") or {}
            if not isinstance(metadata, dict):
                raise InputError(f"{where}: metadata must be an object, got {type(metadata).__name__}")
            if identity in judged and all(metadata.get(key) == value for key, value in self.metadata.items()):
                text = _text(_field(record, self.query_text), where, self.query_text)
                wanted.append((where, Topic(identity, text, self.language)))
        if unknown:
            identity, where = next(iter(unknown.items()))
            raise InputError(f"{where}: query {identity[:80]!r} is judged but is not in {file.name}")
        return gather(wanted, "query", self.empty_text, dropped)[0]

    def fingerprint(self) -> str:
        """Return a digest of the files that are read and of every setting except root and licence."""
        settings = {k: getattr(self, k) for k in self.__dataclass_fields__ if k not in ("root", "licence")}
        files = find_files(self.root)
        read = [_member(files, name, self.root) for name in ("corpus.jsonl", "queries.jsonl")]
        read += [f for k in (self.eval_qrels, self.test_qrels) if (f := _optional(files, f"qrels/{k}.tsv")) is not None]
        return fingerprint(settings, [file.digest() for file in read])


@dataclass(frozen=True, kw_only=True)
class BeirRelevance(RelevanceDataset):
    """Queries of ``qrels/<qrels>.tsv`` with each of their relevant documents."""

    kind: Literal["beir"] = "beir"
    root: str
    qrels: str = "train"
    relevance_level: int = 1
    licence: str = "not stated"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write 20 queries, documents and judgements."""
        return _write_example(folder)

    def pairs(self, counts: Counts, negatives: int = 0) -> Iterator[RelevancePair]:
        """Yield the pairs in the order of the qrels; those without text on a side are dropped."""
        files = find_files(self.root)
        judgements = [
            judgement
            for judgement in _read_qrels(_member(files, f"qrels/{self.qrels}.tsv", self.root))
            if judgement.grade >= self.relevance_level
        ]
        corpus = _read_corpus(_member(files, "corpus.jsonl", self.root), "")
        documents = _texts(
            ((where, d.doc_id, d.text) for where, d in corpus), {j.doc_id for j in judgements}, "document"
        )
        queries = _read_queries(_member(files, "queries.jsonl", self.root))
        texts = _texts(queries, {j.topic_id for j in judgements}, "query")
        for judgement in judgements:
            if judgement.doc_id not in documents or judgement.topic_id not in texts:
                raise InputError(
                    f"{judgement.where}: names a query or document that is not in {self.root}; add it or remove "
                    "the line"
                )
            query, document = texts[judgement.topic_id], documents[judgement.doc_id]
            if query and document:
                yield RelevancePair(query, document)
            else:
                counts.drop("pairs without text on a side")

    def fingerprint(self) -> str:
        """Return a digest of the files that are read and of the relevance level."""
        files = find_files(self.root)
        names = ("corpus.jsonl", "queries.jsonl", f"qrels/{self.qrels}.tsv")
        settings = {"kind": self.kind, "role": "relevance", "relevance_level": self.relevance_level}
        return fingerprint(settings, [_member(files, name, self.root).digest() for name in names])


def _optional(files: list[InputFile], name: str) -> InputFile | None:
    """The file ``name`` of a BEIR folder, or None; raises ``InputError`` if several folders have one."""
    folder, _, base = f"/{name}".rpartition("/")
    matching = (file for file in files if file.base == base and f"/{file.relative}".rpartition("/")[0].endswith(folder))
    return files_by_key((name, file) for file in matching).get(name)


def _member(files: list[InputFile], name: str, root: str) -> InputFile:
    file = _optional(files, name)
    if file is None:
        names = listed(sorted(file.relative for file in files))
        raise InputError(f"{root}: no {name} here (has: {names}); a BEIR folder needs it")
    return file


def _write_example(folder: Path) -> dict[str, Any]:
    for name, language in (("corpus.jsonl", "en"), ("queries.jsonl", "sw")):
        records = ({"_id": f"{i}", "title": "", "text": sentence(language, i)} for i in range(20))
        write_objects(folder / name, records)
    for split, ids in (("train", range(8)), ("dev", range(8, 14)), ("test", range(14, 20))):
        write_rows(folder / "qrels" / f"{split}.tsv", [HEADER, *((i, i, 1) for i in ids)])
    return {"root": str(folder)}


def _read_qrels(file: InputFile) -> Iterator[Judgement]:
    rows = read_columns(file, {3: ", ".join(HEADER)})
    number, first = next(rows, (1, []))
    if first != HEADER:
        if not (len(first) == len(HEADER) and GRADE.fullmatch(first[2])):
            raise InputError(
                f"{file.name}:{number}: the first line must be the header {HEADER} or a judgement, "
                f"got {listed(first)}; correct it"
            )
        rows = chain([(number, first)], rows)  # published without the header
    for number, (topic_id, doc_id, grade) in rows:
        where = f"{file.name}:{number}"
        yield Judgement(topic_id, doc_id, parse_grade(grade, where), where)


def _read_corpus(file: InputFile, language: str) -> Iterator[tuple[str, Document]]:
    for number, record in read_objects(file):
        where = f"{file.name}:{number}"
        metadata = record.get("metadata")
        if "language" not in record and isinstance(metadata, dict):
            own = document_language(metadata, "lang", language, where)
        else:
            own = document_language(record, "language", language, where)
        yield where, Document(text_of(record.get("_id"), where, "_id"), titled(record, where, ("text",)), own)


def _read_queries(file: InputFile) -> Iterator[tuple[str, str, Any]]:
    for number, record in read_objects(file):
        where = f"{file.name}:{number}"
        yield where, text_of(record.get("_id"), where, "_id"), record.get("text")


def _texts(units: Iterable[tuple[str, str, Any]], wanted: set[str], noun: str) -> dict[str, str]:
    """Return the texts of the ``wanted`` ids of ``(file:line, id, text)``; raises ``InputError`` for repeated ids."""
    texts: dict[str, str] = {}
    for where, identity, text in units:
        if identity in texts:
            raise InputError(f"{where}: {noun} id {identity[:80]!r} occurs a second time; ids must be unique")
        if identity in wanted:
            texts[identity] = _text(text, where, f"the {noun}'s text").strip()
    return texts


def _text(value: Any, where: str, field: str) -> str:
    return "" if value is None else text_of(value, where, field)


def _field(record: dict[str, Any], path: str) -> Any:
    value: Any = record
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
