"""A collection of TREC-style files: topics, documents and qrels, in any direction between languages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.data.examples import sentence, write_rows
from optical_ray.data.topic_collection import TopicCollection


@dataclass(frozen=True, kw_only=True)
class TrecCollection(TopicCollection):
    """Topics TSV ``id, text``; documents TSV ``id, [title,] text`` or JSONL (``id``, ``text`` and optionally
    ``title`` and ``language``); qrels ``topic 0 document grade``.

    Fields and splits: see ``TopicCollection``.
    """

    kind: Literal["trec"] = "trec"

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        """Write 30 topics, documents and judgements."""
        write_rows(folder / "topics.tsv", ((i, sentence("sw", i)) for i in range(30)))
        write_rows(folder / "documents.tsv", ((i, sentence("en", i)) for i in range(30)))
        write_rows(folder / "qrels.txt", ((i, 0, i, 1) for i in range(30)))
        return {"root": str(folder), "language": "sw"}
