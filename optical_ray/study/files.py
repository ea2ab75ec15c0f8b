"""Files that survive a crash: written beside and renamed, read with a torn last line forgiven."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

logger = logging.getLogger(__name__)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a path next to ``path`` to write the new content to; it replaces ``path`` when the block ends.

    A reader sees the old file or the complete new one. After an error ``path`` is unchanged.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder next to ``path`` to write the new content to; it replaces ``path`` when the block ends.

    A reader sees the old folder, for a moment no folder, and then the complete new one. After an error ``path`` is
    unchanged.
    """
    temporary = _temporary(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            old = _temporary(path)
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid4().hex[:8]}")


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` so that a reader sees the old file or the new one, never a part."""
    data = content.encode() if isinstance(content, str) else content
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinity are refused."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def append_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append ``rows``, one JSON object a line; a torn last line of an earlier crash is cut off first."""
    mend_jsonl(path)
    with open(path, "a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        stream.flush()
        os.fsync(stream.fileno())


def mend_jsonl(path: Path) -> None:
    """Cut off a last line that has no line end (a writer was killed inside it)."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, "rb+") as stream:
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) == b"\n":
            return
        content = path.read_bytes()
        stream.truncate(content.rfind(b"\n") + 1)
    logger.warning("%s: a torn last line was dropped", path)


def last_jsonl(path: Path, block: int = 1 << 16) -> dict[str, Any] | None:
    """The last whole row of ``path`` without reading the rest; ``None`` where there is none."""
    if not path.exists():
        return None
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - block))
        lines = stream.read().split(b"\n")[:-1]  # what follows the last line end is torn or nothing
    if len(lines) < 2 and size > block:
        return last_jsonl(path, block * 16)
    row: dict[str, Any] | None = json.loads(lines[-1]) if lines else None
    return row


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``path``; nothing where it does not exist; a torn last line is left out."""
    if not path.exists():
        return
    with open(path, "rb") as stream:  # bytes: a line can be torn inside of a character
        for line in stream:
            if line.endswith(b"\n"):
                yield json.loads(line)


def nearest_existing(path: Path) -> Path:
    """``path``, or the first of its parents that is there."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())
