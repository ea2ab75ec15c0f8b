"""Training examples of a retriever as JSON lines: queries, answers, hard negatives, and scores of a cross-encoder."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.data.examples import SENTENCES, write_objects
from optical_ray.data.input_files import InputFile, find_file
from optical_ray.data.interface import Counts, RelevanceDataset, fingerprint
from optical_ray.data.text_files import BadLines, read_lines, text_of, texts_by_id
from optical_ray.types import InputError, RelevancePair

LARGEST = 1e30
"""Largest absolute score; float32 cannot hold much larger ones."""

FORMS = (
    '{"query": ..., "document": ..., "negatives": [...], "scores": [...]}, or with ids '
    '{"query_id": ..., "document_ids": [...], "scores": [...]} or [query, [passage, score], [passage, score], ...]'
)


@dataclass(frozen=True, kw_only=True)
class JsonlRelevance(RelevanceDataset):
    """One example a line, in any of three forms.

    Texts: ``{"query": ..., "document": ..., "negatives": [...], "scores": [...]}``; the last two are optional.
    Ids with scores, in PyLate's form: ``{"query_id": ..., "document_ids": [...], "scores": [...]}``, where a list may
    be spelt as a text (``"[11, 10]"``); in the form of ColBERTv2 and PLAID-X: ``[query, [passage, score], ...]``, or
    ``[query, passage, passage, ...]`` without scores. The first document answers the query, the others are negatives.
    Ids need the tables ``queries`` and ``collection`` (``id<TAB>text``). Up to ``max_bad_lines`` lines are skipped:
    examples that are malformed or name unknown ids, and malformed rows of the tables.
    """

    kind: Literal["jsonl"] = "jsonl"
    root: str
    examples: str = "examples.jsonl"
    queries: str | None = None
    collection: str | None = None
    max_bad_lines: int = 0
    licence: str = "not stated"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write three examples of texts."""
        records = ({"query": text, "document": f"answer {text}"} for text in SENTENCES["en"])
        write_objects(folder / "examples.jsonl", records)
        return {"root": str(folder)}

    def __post_init__(self) -> None:
        if (self.queries is None) != (self.collection is None):
            raise InputError("queries, collection: give both (examples of ids) or neither (examples of texts)")
        BadLines(self.max_bad_lines, Counts())

    def pairs(self, counts: Counts, negatives: int = 0) -> Iterator[RelevancePair]:
        """Yield the examples in the order of the lines."""
        bad = BadLines(self.max_bad_lines, counts)
        for pair in self._texts(bad, negatives):
            kept = [index for index, text in enumerate(pair.negatives) if text]
            if not pair.query or not pair.document:
                counts.drop("examples without text on a side")
            elif len(kept) < len(pair.negatives):
                counts.drop("negatives without text")
                scores = (pair.scores[0], *(pair.scores[1 + index] for index in kept)) if pair.scores else ()
                yield RelevancePair(pair.query, pair.document, tuple(pair.negatives[index] for index in kept), scores)
            else:
                yield pair

    def _texts(self, bad: BadLines, negatives: int) -> Iterator[RelevancePair]:
        """The examples with texts for ids, blank texts included."""
        if self.queries is None or self.collection is None:
            yield from (_first(pair, negatives) for _, pair in self._examples(bad))
            return
        named = [(where, _first(pair, negatives)) for where, pair in self._examples(bad)]
        queries = texts_by_id(self._file(self.queries), {pair.query for _, pair in named}, bad)
        wanted = {identity for _, pair in named for identity in (pair.document, *pair.negatives)}
        texts = texts_by_id(self._file(self.collection), wanted, bad)
        for where, pair in named:
            lacking = [identity for identity in (pair.document, *pair.negatives) if identity not in texts]
            if pair.query not in queries or lacking:
                what = f"query {pair.query[:80]!r}" if pair.query not in queries else f"passage {lacking[0][:80]!r}"
                bad.skip(InputError(f"{where}: {what} is not in {self.queries} or {self.collection}"))
            else:
                others = tuple(texts[identity] for identity in pair.negatives)
                yield RelevancePair(queries[pair.query], texts[pair.document], others, pair.scores)

    def _examples(self, bad: BadLines) -> Iterator[tuple[str, RelevancePair]]:
        """Every well-formed line; examples of ids keep the ids in place of the texts."""
        file = self._file(self.examples)
        for number, line in read_lines(file, bad):
            if not line.strip():
                continue
            where = f"{file.name}:{number}"
            try:
                yield where, _example(line, where, with_ids=self.queries is not None)
            except InputError as error:
                bad.skip(error)

    def _file(self, name: str) -> InputFile:
        return find_file(f"{self.root.rstrip('/')}/{name}")

    def fingerprint(self) -> str:
        """Return a digest of the files."""
        names = [name for name in (self.examples, self.queries, self.collection) if name is not None]
        settings = {"kind": self.kind, "role": "relevance", "bad": self.max_bad_lines}
        return fingerprint(settings, [self._file(name).digest() for name in names])


def _first(pair: RelevancePair, negatives: int) -> RelevancePair:
    """The example with only its first ``negatives``."""
    return RelevancePair(pair.query, pair.document, pair.negatives[:negatives], pair.scores[: 1 + negatives])


def _example(line: str, where: str, *, with_ids: bool) -> RelevancePair:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from error
    if isinstance(value, dict) and not with_ids and {"query", "document"} <= value.keys():
        query, documents = value["query"], [value["document"], *_list(value.get("negatives", []), where)]
        scores = value.get("scores", [])
    elif isinstance(value, dict) and with_ids and {"query_id", "document_ids"} <= value.keys():
        query, documents, scores = value["query_id"], _list(value["document_ids"], where), value.get("scores", [])
    elif isinstance(value, list) and with_ids and len(value) > 1:
        query, *rest = value
        scored = [item for item in rest if isinstance(item, list) and len(item) == 2]
        documents, scores = ([item[0] for item in scored], [item[1] for item in scored]) if scored else (rest, [])
        if scored and len(scored) != len(rest):
            raise InputError(f"{where}: only {len(scored)} of {len(rest)} passages have a score; give all or no scores")
    else:
        wanted = "ids" if with_ids else "texts; examples of ids need `queries` and `collection`"
        raise InputError(f"{where}: expected an example of {wanted}. The forms: {FORMS}")
    if not documents:
        raise InputError(f"{where}: names no document; give at least one")
    first, *others = (text_of(document, where, "a document").strip() for document in documents)
    try:
        return RelevancePair(
            text_of(query, where, "the query").strip(), first, tuple(others), _numbers(_list(scores, where), where)
        )
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error


def _list(value: Any, where: str) -> list[Any]:
    """``value`` as a list; a text may spell one in Python's syntax."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise InputError(f"{where}: expected a list, got the text {value[:40]!r}") from error
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list, got {type(value).__name__}")
    return value


def _numbers(values: list[Any], where: str) -> tuple[float, ...]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST:
            raise InputError(f"{where}: a score must be a number of at most {LARGEST:g}, got {str(value)[:40]!r}")
    return tuple(map(float, values))
