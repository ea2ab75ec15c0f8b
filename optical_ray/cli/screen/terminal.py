"""The terminal, and a log file for the output of other libraries."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.theme import Theme

THEME = Theme({"best": "bold green", "supervised": "dim", "head": "bold", "note": "dim"})


def console(stream: int | None = None) -> Console:
    """Return a console on the file descriptor ``stream``, by default the standard output of this process."""
    file = sys.stdout if stream is None else os.fdopen(stream, "w", buffering=1, encoding="utf-8", closefd=False)
    width = None if file.isatty() else 120
    return Console(file=file, theme=THEME, highlight=False, width=width)


@contextmanager
def redirect_output(log: Path) -> Iterator[Console]:
    """Yield a console on the terminal; in the block, what Ray, MLflow and torch print is appended to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    user, errors = os.dup(1), os.dup(2)
    with open(log, "ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        yield console(user)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(user, 1)
        os.dup2(errors, 2)
        os.close(user)
        os.close(errors)
