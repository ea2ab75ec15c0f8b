"""Parts of messages to users."""

from __future__ import annotations

from collections.abc import Iterable

NUM_LISTED = 10
"""Messages list at most this many files, columns or values."""

MAX_LISTED = 120
"""Messages show at most this many characters of each."""


def listed(values: Iterable[object]) -> str:
    """Return ``values`` joined by commas for a message: the first ten, and how many more there are.

    >>> listed(["en", "sw"]), listed(range(12))
    ('en, sw', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    texts = [str(value) for value in values]
    shown = (text if len(text) <= MAX_LISTED else f"{text[: MAX_LISTED - 3]}..." for text in texts[:NUM_LISTED])
    more = f" and {len(texts) - NUM_LISTED} more" if len(texts) > NUM_LISTED else ""
    return (", ".join(shown) or "nothing") + more
