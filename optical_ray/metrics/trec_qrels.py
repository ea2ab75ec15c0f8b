"""Relevance judgements as TREC files: ``topic 0 document grade`` on each line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from optical_ray.metrics.trec_run import escape_id
from optical_ray.study.files import write_atomic


def write_qrels(path: Path, grades: Mapping[str, Mapping[str, int]]) -> None:
    """Write ``grades`` (topic -> document -> grade); identifiers are escaped as in run files."""
    lines = [
        f"{escape_id(topic)} 0 {escape_id(document)} {grade}\n"
        for topic, documents in grades.items()
        for document, grade in documents.items()
    ]
    write_atomic(path, "".join(lines))
