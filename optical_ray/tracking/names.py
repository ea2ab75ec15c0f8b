"""Names and texts that MLflow takes: metrics, parameters, and digests that say whether anything changed.

``AP/sw`` is the *test* score, as in the study's tables; ``eval/AP/sw`` is the *eval* score that choices are made on: a
curve over the steps whose last point is the final one. ``AP/mean`` and ``eval/AP/mean`` are means over targets. So no
curve mixes splits. All else (``loss``, ``ot/marginal_error``) keeps its name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optical_ray.study.records import Scores

MAX_TEXT = 500
MAX_NAME = 250


def legal(name: str) -> str:
    """``name`` with what MLflow refuses replaced: letters, digits, ``_ - . space /``, in the form of a relative path.

    >>> legal("nDCG@20/sw"), legal("AP(rel=2)/sw"), legal("../loss")
    ('nDCG_20/sw', 'AP_rel_2/sw', '_/loss')
    """
    parts = [re.sub(r"[^A-Za-z0-9_\-. ]+", "_", part).strip(" ") for part in name.split("/")]
    parts = ["_" if not part.strip("._ ") else part.rstrip("_ ") for part in parts if part]
    return "/".join(parts)[:MAX_NAME].rstrip("/ ") or "_"


def row_name(name: str, targets: frozenset[str]) -> str:
    """The mirror's name for a metric of a step row: what ends in a target or ``mean`` was scored on the eval split.

    >>> row_name("nDCG@20/sw", frozenset({"sw"})), row_name("ot/marginal_error", frozenset({"sw"}))
    ('eval/nDCG_20/sw', 'ot/marginal_error')
    """
    measure, _, target = name.rpartition("/")
    return legal(f"eval/{name}" if measure and target in targets | {"mean"} else name)


def final_scores(scores: Scores) -> dict[str, float]:
    """Mean scores under the names of the mirror.

    >>> final_scores({"eval": {"AP": {"sw": 0.5}}, "test": {"AP": {"sw": 0.25, "so": 0.75}}})
    {'eval/AP/sw': 0.5, 'eval/AP/mean': 0.5, 'AP/sw': 0.25, 'AP/so': 0.75, 'AP/mean': 0.5}
    """
    found: dict[str, float] = {}
    for split, prefix in (("eval", "eval/"), ("test", "")):
        for metric, by_target in scores.get(split, {}).items():
            values = {target: value for target, value in by_target.items() if target != "mean"}
            if values:
                found |= {legal(f"{prefix}{metric}/{target}"): value for target, value in values.items()}
                found[legal(f"{prefix}{metric}/mean")] = sum(values.values()) / len(values)
    return found


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A tree as dotted names and texts that MLflow takes as parameters.

    >>> flatten({"loss": {"kind": "greedy", "weight": 0.1}, "languages": ["de", "hi"]})
    {'loss.kind': 'greedy', 'loss.weight': '0.1', 'languages': '["de", "hi"]'}
    """
    found: dict[str, str] = {}
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            found |= flatten(item, f"{prefix}{name}.")
        else:
            found[legal(f"{prefix}{name}")] = text(item)
    return found


def text(value: Any) -> str:
    """A string as it is, everything else as JSON; cut to the length that every MLflow server takes."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return said if len(said) <= MAX_TEXT else said[: MAX_TEXT - 1] + "…"


def stamp(paths: Iterable[Path], *more: object) -> str:
    """A digest of the files' names, sizes and times (and of ``more``): cheap enough for every few seconds."""
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(paths) if path.is_file()]
    return hashlib.sha256(repr((stats, more)).encode()).hexdigest()[:12]
