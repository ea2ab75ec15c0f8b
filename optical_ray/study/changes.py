"""What a later launch of a study may change in its spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

CHANGEABLE = (
    "evaluation.targets",
    "evaluation.metrics",
    "evaluation.every",
    "baselines",
    "compute",
    "tracking",
    "search.num_trials",
    "search.seeds",
)
"""Dotted paths; all that is below them may change as well. Collections may be added, but not changed."""

COLLECTIONS = "data.collections"


def may_change(path: str) -> bool:
    """Whether the value at the dotted ``path`` may differ from launch to launch.

    >>> may_change("search.num_trials"), may_change("compute.num_workers"), may_change("trial.loss.kind")
    (True, True, False)
    """
    return any(path == free or path.startswith(f"{free}.") for free in CHANGEABLE)


def is_fixed(path: str) -> bool:
    """Whether no launch may add or change anything at the dotted ``path``.

    >>> is_fixed("trial.loss.kind"), is_fixed("data.collections.sw.kind"), is_fixed("compute.keep")
    (True, False, False)
    """
    return not may_change(path) and path != COLLECTIONS and not path.startswith(f"{COLLECTIONS}.")


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted path, old and new value of everything that differs between two specs.

    >>> list(differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}))
    [('a.c', 2, 3)]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new
