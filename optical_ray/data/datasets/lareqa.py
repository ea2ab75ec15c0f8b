"""LAReQA (Roy et al., EMNLP 2020): XQuAD-R and MLQA-R, questions and the sentences that answer them; CC BY-SA 4.0."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.data.collection_assembly import (
    EmptyText,
    Judgement,
    assemble,
    gather,
    require_fraction,
    require_split,
    split_by_id,
)
from optical_ray.data.examples import SENTENCES, write_lines
from optical_ray.data.input_files import InputFile, files_by_key, find_files
from optical_ray.data.interface import CollectionDataset, fingerprint
from optical_ray.data.languages import Language
from optical_ray.data.messages import listed
from optical_ray.data.text_files import BYTE_ORDER_MARK, parse_object, read_lines, text_of
from optical_ray.types import Collection, Document, InputError, Topic

LICENCE = "CC BY-SA 4.0; LAReQA (XQuAD-R, MLQA-R)"
SUFFIX = ".json"


@dataclass(frozen=True)
class Question:
    """A question and the ids of the sentences that contain its answers."""

    question_id: str
    text: str
    answered_by: tuple[str, ...]
    where: str


@dataclass(frozen=True, kw_only=True)
class LareqaCollection(CollectionDataset):
    """Questions in ``language``; documents: every sentence of the contexts in each of ``document_languages``.

    ``root`` is a folder (or zip) of ``<language>.json``, of XQuAD-R or of MLQA-R. With several ``document_languages``
    the pool is mixed, and the answering sentence of each language is relevant; ids are
    ``<language>:<article>.<paragraph>.<sentence>``. ``eval_fraction`` of the questions, by a hash of the id, are eval,
    the rest test.
    """

    kind: Literal["lareqa"] = "lareqa"
    root: str
    language: Language
    document_languages: tuple[Language, ...] = ("en",)
    eval_fraction: float = 0.3
    empty_text: EmptyText = "refuse"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write one paragraph of three sentences with 20 questions in two languages."""
        for language, texts in SENTENCES.items():
            context = ". ".join(texts)
            starts = [context.index(text) for text in texts]
            breaks = [[start, start + len(text)] for start, text in zip(starts, texts, strict=True)]
            answers = [[{"answer_start": start + 2, "text": ""}] for start in starts]
            qas = [{"id": f"q{i}", "question": f"{texts[i % 3]} {i}?", "answers": answers[i % 3]} for i in range(20)]
            paragraph = {"context": context, "sentence_breaks": breaks, "qas": qas}
            write_lines(folder / f"{language}.json", [json.dumps({"data": [{"paragraphs": [paragraph]}]})])
        return {"root": str(folder), "language": "sw"}

    def __post_init__(self) -> None:
        if not self.document_languages:
            raise InputError("document_languages: the list is empty; name at least one language")
        require_fraction(self.eval_fraction)

    def load(self, split: str) -> Collection:
        """Read the split ``eval`` or ``test``."""
        require_split("lareqa", split)
        dropped: dict[str, int] = {}
        questions, _ = _read(self._file(self.language), self.language)
        asked = ((q.where, Topic(q.question_id, q.text, self.language)) for q in questions)
        topics, _ = gather(asked, "question", self.empty_text, dropped)
        sentences: list[tuple[str, Document]] = []
        judgements: list[Judgement] = []
        for language in dict.fromkeys(self.document_languages):
            answered, read = _read(self._file(language), language)
            sentences += read
            judgements += [Judgement(q.question_id, doc, 1, q.where) for q in answered for doc in q.answered_by]
        documents, empty = gather(sentences, "sentence", self.empty_text, dropped)
        return assemble(
            f"lareqa/{self.language}",
            split,
            split_by_id(topics, split, self.eval_fraction),
            documents,
            judgements,
            relevance_level=1,
            licence=self.licence,
            dropped=dropped,
            absent_documents=empty,
        )

    def topic_texts(self, split: str, language: str) -> dict[str, str] | None:
        """Return the questions in ``language``."""
        if not any(file.base == f"{language}{SUFFIX}" for file in find_files(self.root)):
            return None
        questions, _ = _read(self._file(language), language)
        return {question.question_id: question.text for question in questions if question.text}

    @property
    def licence(self) -> str:
        """Licence and origin, one line."""
        return LICENCE

    def _file(self, language: str) -> InputFile:
        files = [file for file in find_files(self.root) if file.base.endswith(SUFFIX)]
        by_language = files_by_key((language, file) for file in files if file.base == f"{language}{SUFFIX}")
        if language not in by_language:
            known = listed(sorted({file.base.removesuffix(SUFFIX) for file in files}))
            raise InputError(f"{self.root}: no {language}{SUFFIX} here (has: {known}); name another language or folder")
        return by_language[language]

    def fingerprint(self) -> str:
        """Return a digest of the files that are read and of every setting except the root."""
        settings = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "root"}
        languages = dict.fromkeys((self.language, *self.document_languages))
        return fingerprint(settings, [self._file(language).digest() for language in languages])


def _read(file: InputFile, language: str) -> tuple[list[Question], list[tuple[str, Document]]]:
    content = parse_object("\n".join(line for _, line in read_lines(file)), file.name)
    questions: list[Question] = []
    sentences: list[tuple[str, Document]] = []
    for number, where, paragraph in _paragraphs(content, file.name):
        context = text_of(paragraph.get("context"), where, "context")
        breaks = [_span(span, f"{where}.sentence_breaks") for span in _list(paragraph, "sentence_breaks", where)]
        ids = [f"{language}:{number}.{index}" for index in range(len(breaks))]
        for doc_id, (start, end) in zip(ids, breaks, strict=True):
            text = context[start:end].replace(BYTE_ORDER_MARK, "").strip()
            sentences.append((where, Document(doc_id, text, language)))
        for index, question in enumerate(_list(paragraph, "qas", where)):
            at = f"{where}.qas[{index}]"
            starts = [_start(answer, at) for answer in _list(_object(question, at), "answers", at)]
            hits = (doc for doc, (b, e) in zip(ids, breaks, strict=True) if any(b <= start < e for start in starts))
            answered_by = tuple(hits)
            text = text_of(question.get("question"), at, "question").strip()
            questions.append(Question(text_of(question.get("id"), at, "id"), text, answered_by, at))
    return questions, sentences


def _paragraphs(content: dict[str, Any], name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for number, article in enumerate(_list(content, "data", name)):
        at = f"{name}: data[{number}]"
        for index, paragraph in enumerate(_list(_object(article, at), "paragraphs", at)):
            where = f"{at}.paragraphs[{index}]"
            yield f"{number}.{index}", where, _object(paragraph, where)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, got {type(value).__name__}")
    return value


def _list(record: dict[str, Any], key: str, where: str) -> list[Any]:
    value = record.get(key)
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list {key!r}, got {type(value).__name__}; is this XQuAD-R or MLQA-R?")
    return value


def _span(value: Any, where: str) -> tuple[int, int]:
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(bound, int) for bound in value)):
        raise InputError(f"{where}: expected pairs [start, end], got {str(value)[:40]}")
    return value[0], value[1]


def _start(answer: Any, where: str) -> int:
    start = _object(answer, f"{where}.answers").get("answer_start")
    if not isinstance(start, int):
        raise InputError(f"{where}.answers: answer_start must be a whole number, got {str(start)[:40]!r}")
    return start
