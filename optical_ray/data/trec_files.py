"""The files of a TREC-style collection: topics, documents, qrels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optical_ray.data.collection_assembly import Judgement
from optical_ray.data.input_files import InputFile
from optical_ray.data.text_files import read_columns, read_objects, text_of
from optical_ray.types import Document, InputError, Topic

ID_KEYS = ("id", "_id", "docid", "doc_id", "docno", "query_id", "qid")
TEXT_KEYS = ("text", "contents", "body", "query")
OBJECT_SUFFIXES = (".jsonl", ".json")


def read_topics(file: InputFile, language: str) -> Iterator[tuple[str, Topic]]:
    """Yield ``(file:line, topic)``: TSV ``id, text``, or JSONL by suffix."""
    for where, unit_id, text in _read_texts(file, {2: "id, text"}):
        yield where, Topic(unit_id, text, language)


def read_documents(file: InputFile, language: str) -> Iterator[tuple[str, Document]]:
    """Yield ``(file:line, document)``: TSV ``id, text`` or ``id, title, text``, or JSONL by suffix; title first."""
    for where, unit_id, text in _read_texts(file, {2: "id, text", 3: "id, title, text"}):
        yield where, Document(unit_id, text, language)


def read_qrels(file: InputFile) -> Iterator[Judgement]:
    """Yield the lines ``topic iteration document grade``, parted by white space; the iteration is ignored."""
    for number, (topic_id, _, doc_id, grade) in read_columns(file, {4: "topic, 0, document, grade"}, separator=None):
        where = f"{file.name}:{number}"
        yield Judgement(topic_id, doc_id, parse_grade(grade, where), where)


def parse_grade(grade: str, where: str) -> int:
    """Return ``grade`` as a whole number; raises ``InputError`` otherwise."""
    try:
        return int(grade)
    except ValueError as error:
        raise InputError(f"{where}: the grade must be a whole number, got {grade!r}") from error


def titled(record: dict[str, Any], where: str, text_keys: tuple[str, ...] = TEXT_KEYS) -> str:
    """Return the text of a JSON ``record``, its title before it; raises ``InputError`` where it has no text."""
    key = next((key for key in text_keys if key in record), None)
    if key is None:
        raise InputError(f"{where}: no text; expected one of {', '.join(text_keys)}, got {sorted(record)}")
    title = text_of(record.get("title") or "", where, "title")
    return f"{title} {text_of(record[key], where, key)}".strip()


def _read_texts(file: InputFile, columns: dict[int, str]) -> Iterator[tuple[str, str, str]]:
    if file.base.endswith(OBJECT_SUFFIXES):
        for number, record in read_objects(file):
            where = f"{file.name}:{number}"
            key = next((key for key in ID_KEYS if key in record), None)
            if key is None:
                raise InputError(f"{where}: no id; expected one of {', '.join(ID_KEYS)}, got {sorted(record)}")
            yield where, text_of(record[key], where, key), titled(record, where)
        return
    for number, (unit_id, *texts) in read_columns(file, columns):
        yield f"{file.name}:{number}", unit_id.strip(), " ".join(texts).strip()
