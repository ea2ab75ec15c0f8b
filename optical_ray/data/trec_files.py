"""The files of a TREC-style collection: topics, documents, qrels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from optical_ray.data.collection_assembly import Judgement
from optical_ray.data.input_files import InputFile
from optical_ray.data.text_files import read_columns, read_objects, text_of
from optical_ray.types import Document, InputError, Topic

ID_KEYS = ("id", "_id", "docid", "doc_id", "docno", "query_id", "qid")
TEXT_KEYS = ("text", "contents", "body", "query")
OBJECT_SUFFIXES = (".jsonl", ".json")
LANGUAGE = re.compile("[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*")
GRADE = re.compile("-?[0-9]{1,6}")


def read_topics(file: InputFile, language: str) -> Iterator[tuple[str, Topic]]:
    """Yield ``(file:line, topic)``: TSV ``id, text``, or JSONL by suffix."""
    for where, unit_id, text, _ in _read_texts(file, {2: "id, text"}):
        yield where, Topic(unit_id, text, language)


def read_documents(file: InputFile, language: str) -> Iterator[tuple[str, Document]]:
    """Yield ``(file:line, document)``: TSV ``id, text`` or ``id, title, text``, or JSONL by suffix; title first.

    A document of a JSONL file that says its ``language`` is in that one.
    """
    for where, unit_id, text, own in _read_texts(file, {2: "id, text", 3: "id, title, text"}):
        yield where, Document(unit_id, text, language_of(own, language, where))


def read_qrels(file: InputFile) -> Iterator[Judgement]:
    """Yield the lines ``topic iteration document grade``, parted by white space; the iteration is ignored."""
    for number, (topic_id, _, doc_id, grade) in read_columns(file, {4: "topic, 0, document, grade"}, separator=None):
        where = f"{file.name}:{number}"
        yield Judgement(topic_id, doc_id, parse_grade(grade, where), where)


def parse_grade(grade: str, where: str) -> int:
    """Return ``grade`` as a whole number of at most six digits; raises ``InputError`` for anything else."""
    if not GRADE.fullmatch(grade):
        raise InputError(
            f"{where}: the grade must be a whole number of at most six digits, got {grade[:40]!r}; mend the line"
        )
    return int(grade)


def language_of(own: Any, language: str, where: str) -> str:
    """Return a document's ``own`` language where it has one, else ``language``; raises ``InputError`` for no code."""
    if not own:
        return language
    if not (isinstance(own, str) and LANGUAGE.fullmatch(own)):
        raise InputError(f"{where}: language must be a code such as sw or zh-TW, got {str(own)[:40]!r}; mend the line")
    return own


def titled(record: dict[str, Any], where: str, text_keys: tuple[str, ...] = TEXT_KEYS) -> str:
    """Return the text of a JSON ``record``, its title before it; raises ``InputError`` where it has no text."""
    key = next((key for key in text_keys if key in record), None)
    if key is None:
        raise InputError(f"{where}: no text; expected one of {', '.join(text_keys)}, got {sorted(record)}")
    title = text_of(record.get("title") or "", where, "title")
    return f"{title} {text_of(record[key], where, key)}".strip()


def _read_texts(file: InputFile, columns: dict[int, str]) -> Iterator[tuple[str, str, str, Any]]:
    """Yield ``(file:line, id, text, language)``, the language ``None`` where the file does not say it."""
    if file.base.endswith(OBJECT_SUFFIXES):
        for number, record in read_objects(file):
            where = f"{file.name}:{number}"
            key = next((key for key in ID_KEYS if key in record), None)
            if key is None:
                raise InputError(f"{where}: no id; expected one of {', '.join(ID_KEYS)}, got {sorted(record)}")
            yield where, text_of(record[key], where, key), titled(record, where), record.get("language")
        return
    for number, (unit_id, *texts) in read_columns(file, columns):
        yield f"{file.name}:{number}", unit_id.strip(), " ".join(texts).strip(), None
