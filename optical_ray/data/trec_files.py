"""The files of a TREC-style collection: topics, documents, qrels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from optical_ray.data.collection_assembly import Judgement
from optical_ray.data.input_files import InputFile
from optical_ray.data.languages import document_language
from optical_ray.data.messages import listed
from optical_ray.data.text_files import read_columns, read_objects, text_of
from optical_ray.types import Document, InputError, Topic

ID_KEYS = ("id", "_id", "docid", "doc_id", "docno", "query_id", "qid")
TEXT_KEYS = ("text", "contents", "body", "query")
OBJECT_SUFFIXES = (".jsonl", ".json")
GRADE = re.compile(r"(-?[0-9]{1,6})(?:\.0{1,6})?")


def read_topics(file: InputFile, language: str) -> Iterator[tuple[str, Topic]]:
    """Yield ``(file:line, topic)``: TSV ``id, text``, or JSONL by suffix."""
    for where, unit_id, text, _ in _read_texts(file, {2: "id, text"}, language):
        yield where, Topic(unit_id, text, language)


def read_documents(file: InputFile, language: str) -> Iterator[tuple[str, Document]]:
    """Yield ``(file:line, document)``: TSV ``id, text`` or ``id, title, text``, or JSONL by suffix; title first.

    A document of a JSONL file that states its ``language`` has that one, any other has the given ``language``.
    """
    for where, unit_id, text, own in _read_texts(file, {2: "id, text", 3: "id, title, text"}, language):
        yield where, Document(unit_id, text, own)


def read_qrels(file: InputFile) -> Iterator[Judgement]:
    """Yield the lines ``topic iteration document grade``, separated by white space; the iteration is ignored."""
    for number, (topic_id, _, doc_id, grade) in read_columns(file, {4: "topic, 0, document, grade"}, separator=None):
        where = f"{file.name}:{number}"
        yield Judgement(topic_id, doc_id, parse_grade(grade, where), where)


def parse_grade(grade: str, where: str) -> int:
    """Return ``grade`` (``2``, ``2.0``) as a whole number; raises ``InputError`` unless it has at most six digits."""
    match = GRADE.fullmatch(grade)
    if match is None:
        raise InputError(
            f"{where}: the grade must be a whole number of at most six digits, got {grade[:40]!r}; correct the line"
        )
    return int(match[1])


def titled(record: dict[str, Any], where: str, text_keys: tuple[str, ...] = TEXT_KEYS) -> str:
    """Return the text of a JSON ``record`` with its title in front; a text of null is empty.

    Raises ``InputError`` if the record has no text.
    """
    key = next((key for key in text_keys if key in record), None)
    if key is None:
        raise InputError(f"{where}: no text; expected one of {', '.join(text_keys)}, got {listed(sorted(record))}")
    title = text_of(record.get("title") or "", where, "title")
    text = "" if record[key] is None else text_of(record[key], where, key)
    return f"{title} {text}".strip()


def _read_texts(file: InputFile, columns: dict[int, str], language: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield ``(file:line, id, text, language)``; ``language`` is that of records that do not state one."""
    if file.base.endswith(OBJECT_SUFFIXES):
        for number, record in read_objects(file):
            where = f"{file.name}:{number}"
            key = next((key for key in ID_KEYS if key in record), None)
            if key is None:
                raise InputError(f"{where}: no id; expected one of {', '.join(ID_KEYS)}, got {listed(sorted(record))}")
            own = document_language(record, "language", language, where)
            yield where, text_of(record[key], where, key), titled(record, where), own
        return
    for number, (unit_id, *texts) in read_columns(file, columns):
        yield f"{file.name}:{number}", unit_id.strip(), " ".join(texts).strip(), language
