"""Runs as TREC files: ``topic Q0 document rank score tag`` on each line.

The columns are separated by white space, so identifiers with white space are escaped (see ``escape_id``).
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from operator import itemgetter
from pathlib import Path
from urllib.parse import quote

from optical_ray.types import InputError, Run

COMPRESSION = 3
"""gzip's level; higher ones take five times as long to save a tenth of the size."""

ESCAPES = {quote(character): character for character in ("%", *filter(str.isspace, map(chr, range(0x3001))))}
"""Percent-encoding of the percent sign and of every white-space character."""

_ESCAPED = re.compile("|".join(ESCAPES))
_TO_ESCAPE = re.compile(r"[%\s]")


def escape_id(identifier: str) -> str:
    """Return ``identifier`` as run files hold it: without white space, unchanged if it has none.

    White space and percent signs are percent-encoded in identifiers with white space, and in those that
    ``unescape_id`` would change.

    >>> escape_id("Nairobi city"), escape_id("50%"), escape_id("a%20b")
    ('Nairobi%20city', '50%', 'a%2520b')
    """
    if identifier.split() == [identifier] and not _ESCAPED.search(identifier):
        return identifier
    return _TO_ESCAPE.sub(lambda match: quote(match[0]), identifier)


def unescape_id(column: str) -> str:
    """Return the identifier that ``escape_id`` wrote as ``column``.

    >>> unescape_id("Nairobi%20city"), unescape_id("50%"), unescape_id("a%2520b")
    ('Nairobi city', '50%', 'a%20b')
    """
    return _ESCAPED.sub(lambda match: ESCAPES[match[0]], column) if "%" in column else column


def write_run(path: Path, run: Run, tag: str) -> None:
    """Write ``run`` in trec_eval's order, compressed if the name ends in ``.gz``.

    Documents are ordered by score, ties by descending document id; topics keep their order. Equal runs give equal
    bytes. Identifiers with white space are escaped; an empty one raises ``InputError``.
    """
    for identifier in {tag, *run, *(doc_id for documents in run.values() for doc_id in documents)}:
        if not identifier:
            raise InputError(f"run {path}: an identifier is empty; give every topic and document an id")
    lines = []
    for topic_id, documents in run.items():
        by_id = sorted(documents.items(), reverse=True)
        ranked = sorted(by_id, key=itemgetter(1), reverse=True)
        topic = escape_id(topic_id)
        lines += [
            f"{topic} Q0 {escape_id(doc)} {rank} {score!r} {escape_id(tag)}\n"
            for rank, (doc, score) in enumerate(ranked, start=1)
        ]
    content = "".join(lines).encode()
    path.write_bytes(gzip.compress(content, COMPRESSION, mtime=0) if path.suffix == ".gz" else content)


def read_run(path: Path) -> Run:
    """Read a run in any order; the second column (``Q0``, ``0``) and the ranks are ignored, escaped ids unescaped.

    Raises ``InputError`` for a file that cannot be read and, with the line number, for a line without six columns or
    without a number as score, and for a document that a topic has twice.
    """
    run: Run = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        columns = line.split()
        if not columns:
            continue
        try:
            topic_id, _, doc_id, _, score, _ = columns
            value = float(score)
        except ValueError:
            raise InputError(
                f"{path}:{number}: expected 'topic Q0 document rank score tag', got {line[:80]!r}"
            ) from None
        if math.isnan(value):
            raise InputError(f"{path}:{number}: score must be a number, got {score[:40]!r}")
        topic_id, doc_id = unescape_id(topic_id), unescape_id(doc_id)
        documents = run.setdefault(topic_id, {})
        if doc_id in documents:
            raise InputError(f"{path}:{number}: topic {topic_id!r} has document {doc_id!r} a second time; keep one")
        documents[doc_id] = value
    return run


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); check that the file is complete") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1 if path.suffix != ".gz" else "?"
        raise InputError(
            f"{path}:{line}: not UTF-8 (byte 0x{error.object[error.start]:02x}); convert the file"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{path}:{line}: holds a NUL byte; check that it is a TREC run")
    return text
