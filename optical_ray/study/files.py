"""Files that survive a crash: written to a temporary name and renamed, flushed to the disk before the rename."""

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
        flush_to_disk(temporary)
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
        flush_folder(temporary)
        if path.exists():
            old = _temporary(path)
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Wait until all files of ``folder`` have reached the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            flush_to_disk(path)


def flush_to_disk(path: Path) -> None:
    """Wait until the content of the file ``path`` has reached the disk."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid4().hex[:8]}")


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` so that a reader sees the old file or the new one, never a part."""
    data = content.encode() if isinstance(content, str) else content
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; raises ``ValueError`` for NaN and infinity."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def append_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append ``rows``, one JSON object a line, after removing a last line that an earlier crash left incomplete."""
    remove_incomplete_line(path)
    with open(path, "a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        stream.flush()
        os.fsync(stream.fileno())


def remove_incomplete_line(path: Path) -> None:
    """Remove a last line without a line end, which a killed writer leaves behind."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, "rb+") as stream:
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) == b"\n":
            return
        stream.truncate(path.read_bytes().rfind(b"\n") + 1)
    logger.warning("%s: an incomplete last line was removed", path)


def first_jsonl(path: Path) -> dict[str, Any] | None:
    """The first row of ``path``; None if the file does not exist or has no row."""
    return next(read_jsonl(path), None)


def last_jsonl(path: Path, block: int = 1 << 16) -> dict[str, Any] | None:
    """The last complete row of ``path``, read from its end; None if the file does not exist or has no row."""
    if not path.exists():
        return None
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - block))
        lines = stream.read().split(b"\n")[:-1]  # an incomplete last line has no line end
    if len(lines) < 2 and size > block:
        return last_jsonl(path, block * 16)
    row: dict[str, Any] | None = json.loads(lines[-1]) if lines else None
    return row


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``path``; no rows if it does not exist. An incomplete last line is skipped."""
    if not path.exists():
        return
    with open(path, "rb") as stream:  # bytes: a line can end inside a character
        for line in stream:
            if line.endswith(b"\n"):
                yield json.loads(line)


def nearest_existing(path: Path) -> Path:
    """``path``, or the first of its parents that exists."""
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())
