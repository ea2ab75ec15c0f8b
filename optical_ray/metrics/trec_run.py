"""Runs as TREC files: ``topic Q0 document rank score tag`` on each line."""

from __future__ import annotations

import gzip
from operator import itemgetter
from pathlib import Path

from optical_ray.types import InputError, Run

COMPRESSION = 3
"""gzip's level: higher ones take five times as long for a tenth of the size."""


def write_run(path: Path, run: Run, tag: str) -> None:
    """Write ``run`` in the order in which trec_eval reads it; gzip where the name ends in ``.gz``.

    Documents are ordered by score, ties by descending document id, topics as they come. The file is the same bytes
    for the same run. Raises ``InputError`` for an identifier with white space, which the format cannot hold.
    """
    for identifier in {tag, *run, *(doc_id for documents in run.values() for doc_id in documents)}:
        if identifier.split() != [identifier]:
            raise InputError(f"run {path}: {identifier!r} cannot be written: identifiers have no white space")
    lines = []
    for topic_id, documents in run.items():
        by_id = sorted(documents.items(), reverse=True)
        ranked = sorted(by_id, key=itemgetter(1), reverse=True)
        lines += [f"{topic_id} Q0 {doc} {rank} {score!r} {tag}\n" for rank, (doc, score) in enumerate(ranked, start=1)]
    content = "".join(lines).encode()
    path.write_bytes(gzip.compress(content, COMPRESSION, mtime=0) if path.suffix == ".gz" else content)


def read_run(path: Path) -> Run:
    """Read a run; the second column is not looked at and ranks are those of the scores.

    Raises ``InputError`` with the line number for a line that does not have six columns or a number for its score.
    """
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    run: Run = {}
    for number, line in enumerate(text.splitlines(), start=1):
        columns = line.split()
        if not columns:
            continue
        try:
            topic_id, _, doc_id, _, score, _ = columns
            run.setdefault(topic_id, {})[doc_id] = float(score)
        except ValueError:
            raise InputError(f"{path}:{number}: expected 'topic Q0 document rank score tag', got {line!r}") from None
    return run
