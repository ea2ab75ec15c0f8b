"""A collection of TREC-style files: topics, documents and qrels, in any direction between languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from optical_ray.data.topic_collection import TopicCollection


@dataclass(frozen=True, kw_only=True)
class TrecCollection(TopicCollection):
    """Topics TSV ``id, text``; documents TSV ``id, [title,] text`` or JSONL (``id``, ``text`` and, where they
    are there, ``title`` and ``language``); qrels ``topic 0 document grade``.

    Fields and splits: see ``TopicCollection``.
    """

    kind: Literal["trec"] = "trec"
