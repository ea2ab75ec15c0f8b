"""Names and values in the form that MLflow accepts.

``AP/sw`` is the score on the *test* split, as in the study's tables. ``eval/AP/sw`` is the score on the *eval* split,
which selects configurations: a curve over the steps that ends with the final score. ``AP/mean`` and ``eval/AP/mean``
are means over the targets. Other metrics (``loss``, ``ot/marginal_error``) keep their names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optical_ray.study.layout import SPLITS
from optical_ray.study.records import Scores

MAX_TEXT = 500
MAX_NAME = 250

EVAL, TEST = SPLITS
PREFIXES = {EVAL: "eval/", TEST: ""}


def legal_name(name: str) -> str:
    """``name`` as a relative path of letters, digits, ``_``, ``-``, ``.`` and spaces; other characters become ``_``.

    >>> legal_name("nDCG@20/sw"), legal_name("AP(rel=2)/sw"), legal_name("../loss")
    ('nDCG_20/sw', 'AP_rel_2/sw', '_/loss')
    """
    parts = [re.sub(r"[^A-Za-z0-9_\-. ]+", "_", part).strip(" ") for part in name.split("/")]
    parts = ["_" if not part.strip("._ ") else part.rstrip("_ ") for part in parts if part]
    return "/".join(parts)[:MAX_NAME].rstrip("/ ") or "_"


def metric_name(name: str, targets: frozenset[str]) -> str:
    """MLflow's name for a field of a metric row; a field that ends in a target or ``mean`` is an eval score.

    >>> metric_name("nDCG@20/sw", frozenset({"sw"})), metric_name("ot/marginal_error", frozenset({"sw"}))
    ('eval/nDCG_20/sw', 'ot/marginal_error')
    """
    measure, _, target = name.rpartition("/")
    return legal_name(f"{PREFIXES[EVAL]}{name}" if measure and target in targets | {"mean"} else name)


def final_scores(scores: Scores) -> dict[str, float]:
    """Mean scores by MLflow's name.

    >>> final_scores({"eval": {"AP": {"sw": 0.5}}, "test": {"AP": {"sw": 0.25, "so": 0.75}}})
    {'eval/AP/sw': 0.5, 'eval/AP/mean': 0.5, 'AP/sw': 0.25, 'AP/so': 0.75, 'AP/mean': 0.5}
    """
    named: dict[str, float] = {}
    for split, prefix in PREFIXES.items():
        for metric, by_target in scores.get(split, {}).items():
            values = {target: value for target, value in by_target.items() if target != "mean"}
            if values:
                named |= {legal_name(f"{prefix}{metric}/{target}"): value for target, value in values.items()}
                named[legal_name(f"{prefix}{metric}/mean")] = sum(values.values()) / len(values)
    return named


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested mapping as MLflow parameters: dotted names and texts.

    >>> flatten({"loss": {"kind": "greedy", "weight": 0.1}, "languages": ["de", "hi"]})
    {'loss.kind': 'greedy', 'loss.weight': '0.1', 'languages': '["de", "hi"]'}
    """
    params: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            params |= flatten(value, f"{prefix}{name}.")
        else:
            params[legal_name(f"{prefix}{name}")] = parameter_text(value)
    return params


def parameter_text(value: Any) -> str:
    """A string unchanged, any other value as JSON; shortened to the length that every MLflow server accepts."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def stamp_of(paths: Iterable[Path], *values: object) -> str:
    """A digest of the names, sizes and modification times of files, and of ``values``."""
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(paths) if path.is_file()]
    return hashlib.sha256(repr((stats, values)).encode()).hexdigest()[:12]
