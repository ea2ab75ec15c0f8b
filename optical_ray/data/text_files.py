"""Strict readers of text files: UTF-8 only, and every error names its file and line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optical_ray.data.archives import UNREADABLE
from optical_ray.data.input_files import InputFile
from optical_ray.data.interface import Counts
from optical_ray.types import InputError

HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # JSON can spell half of a surrogate pair
BYTE_ORDER_MARK = "\ufeff"


def read_lines(file: InputFile, bad: BadLines | None = None) -> Iterator[tuple[int, str]]:
    """Yield ``(line number from 1, line)``, without line ends (LF or CRLF) and byte order mark.

    Raises ``InputError`` (``file:line``) for an empty file, for a line that is not UTF-8 or holds a NUL (unless ``bad``
    can skip it), and for a compressed stream that is broken or ends early.
    """
    number = consumed = 0
    with file.open() as stream:
        try:
            for number, raw in enumerate(stream, start=1):
                consumed += len(raw)
                try:
                    line = _decode(file, number, raw)
                except InputError as error:
                    if bad is None:
                        raise
                    bad.skip(error)
                    continue
                yield number, line
        except InputError:
            raise
        except UNREADABLE as error:
            raise InputError(
                f"{file.name}:{number + 1}: cannot be read further after byte {consumed} of the content ({error}); the "
                "file is damaged or was cut off, fetch it again"
            ) from error
    if number == 0:
        raise InputError(f"{file.name}: the file is empty")


@dataclass
class BadLines:
    """A budget of malformed lines that are skipped and counted."""

    allowed: int
    counts: Counts
    met: int = 0

    def __post_init__(self) -> None:
        if self.allowed < 0:
            raise InputError(f"max_bad_lines: must be >= 0, got {self.allowed}")

    def skip(self, error: InputError) -> None:
        """Count the line that ``error`` describes; raises ``error`` if there are more such lines than ``allowed``."""
        self.met += 1
        if self.met > self.allowed:
            more = f"; it is bad line {self.met}, max_bad_lines allows {self.allowed}" if self.allowed else ""
            raise InputError(f"{error}{more}") from error
        self.counts.drop("bad lines")


def read_columns(
    file: InputFile, expected: dict[int, str], separator: str | None = "\t", bad: BadLines | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield ``(line number, columns)`` of every line that is not blank.

    ``expected`` maps each allowed number of columns to their names. Raises ``InputError`` for any other number and for
    what ``read_lines`` refuses, unless ``bad`` can skip the line.
    """
    for number, line in read_lines(file, bad):
        if not line.strip():
            continue
        columns = line.split(separator)
        if len(columns) not in expected:
            wanted = " or ".join(f"{count} ({names})" for count, names in sorted(expected.items()))
            error = InputError(f"{file.name}:{number}: got {len(columns)} columns, expected {wanted}")
            if bad is None:
                raise error
            bad.skip(error)
            continue
        yield number, columns


def texts_by_id(file: InputFile, wanted: set[str], bad: BadLines | None = None) -> dict[str, str]:
    """Return the texts of the ``wanted`` ids in a table of ``id, text``, without the ids that the table lacks.

    Raises ``InputError`` for a line that has other columns, unless ``bad`` can skip it.
    """
    rows = read_columns(file, {2: "id, text"}, bad=bad)
    return {identity: text.strip() for _, (identity, text) in rows if identity in wanted}


def read_objects(file: InputFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line number, object)`` of a JSONL file; blank lines are skipped.

    Raises ``InputError`` for a line that is not a JSON object.
    """
    for number, line in read_lines(file):
        if line.strip():
            yield number, parse_object(line, f"{file.name}:{number}")


def parse_object(text: str, where: str) -> dict[str, Any]:
    """Parse one JSON object; raises ``InputError`` that begins with ``where``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def text_of(value: Any, where: str, field: str) -> str:
    """Return ``value`` as text; raises ``InputError`` for anything but a text or a whole number."""
    if isinstance(value, str):
        if HALF_CHARACTER.search(value):
            raise InputError(f"{where}: {field} holds half of a surrogate pair, which is not a character")
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InputError(f"{where}: {field} must be a text, got {type(value).__name__}. Quote it")


def _decode(file: InputFile, number: int, raw: bytes) -> str:
    try:
        line = raw.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file.name}:{number}: byte {error.start + 1} of the line is not UTF-8 (0x{raw[error.start]:02x}); "
            "convert the file to UTF-8"
        ) from error
    if "\0" in line:
        raise InputError(f"{file.name}:{number}: holds a NUL byte; is this a text file in UTF-8?")
    if number == 1:
        line = line.removeprefix(BYTE_ORDER_MARK)
    return line.removesuffix("\n").removesuffix("\r")
