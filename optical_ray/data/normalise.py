"""Text made comparable: what counts as the same sentence when repeats and leaks are looked for."""

from __future__ import annotations

import unicodedata


def normalise(text: str) -> str:
    """Return ``text`` in NFKC, case folded, with runs of white space collapsed to one blank and none at the ends."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())
