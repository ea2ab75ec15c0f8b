"""Every pair of several systems, from their per-topic scores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.groups import Groups, freedom, mean_variances
from optical_ray.statistics.intervals import LEVEL
from optical_ray.statistics.significance import NUM_RESAMPLES, holm, sign_flip

BLOCK = 2000
"""Pairs that are tested at once, which bounds the memory."""

Scores = Mapping[str, float] | Sequence[float] | FloatArray


@dataclass(frozen=True)
class Pair:
    """Two systems compared over shared topics.

    ``difference`` is the mean of ``first`` minus that of ``second``, with its 95 % confidence interval (t over topics,
    or over groups); ``p`` is that of the sign-flip test, ``p_holm`` adjusted over all pairs.
    """

    first: str
    second: str
    mean_first: float
    mean_second: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    num_topics: int
    num_groups: int


def significance(
    scores: Mapping[str, Scores],
    groups: Mapping[str, str] | Sequence[str] | None = None,
    *,
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[Pair, ...]:
    """Compare every pair of systems by the paired sign-flip test, adjusted by Holm over all pairs.

    ``scores`` maps a system's name to its per-topic scores: an array in one common order of topics, or a mapping from
    topic id to score. ``groups`` name the group of each topic (in that order, or by topic id) if topics are not
    independent; whole groups are flipped then. Raises ``ValueError`` if the systems do not have the same topics, a
    topic has no group, or a score is not finite.

    >>> before = {"q1": 0.1, "q2": 0.2, "q3": 0.3, "q4": 0.1, "q5": 0.2, "q6": 0.3}
    >>> after = {topic: score + 0.2 for topic, score in before.items()}
    >>> [pair] = significance({"after": after, "before": before})
    >>> pair.first, round(pair.difference, 3), pair.p_holm
    ('after', 0.2, 0.03125)
    """
    names = list(scores)
    if len(names) < 2:
        raise ValueError(f"scores: got {len(names)} system(s), expected at least two. Give the systems to compare.")
    topics, table = _table(scores)
    grouping = _groups(groups, topics, table.shape[1])
    pairs = list(itertools.combinations(range(len(names)), 2))
    blocks = [pairs[start : start + BLOCK] for start in range(0, len(pairs), BLOCK)]
    tested = [_test_block(table, block, grouping, num_resamples) for block in blocks]
    differences, halves, p_values = (np.concatenate(parts) for parts in zip(*tested, strict=True))
    adjusted = holm(p_values)
    means = table.mean(axis=1)
    num_groups = 0 if grouping is None else grouping.num_groups
    return tuple(
        Pair(
            first=names[first],
            second=names[second],
            mean_first=float(means[first]),
            mean_second=float(means[second]),
            difference=float(differences[index]),
            low=float(differences[index] - halves[index]),
            high=float(differences[index] + halves[index]),
            p=float(p_values[index]),
            p_holm=float(adjusted[index]),
            num_topics=table.shape[1],
            num_groups=num_groups,
        )
        for index, (first, second) in enumerate(pairs)
    )


def _test_block(
    table: FloatArray, pairs: Sequence[tuple[int, int]], groups: Groups | None, num_resamples: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean difference, half width of the interval and p of each pair."""
    differences = np.stack([table[first] - table[second] for first, second in pairs])
    degrees = freedom(table.shape[1], groups)
    quantile = -float(special.stdtrit(degrees, (1 - LEVEL) / 2)) if degrees > 0 else float("nan")
    halves = quantile * np.sqrt(mean_variances(differences, groups))
    return differences.mean(axis=1), halves, sign_flip(differences, groups, num_resamples=num_resamples)


def _table(scores: Mapping[str, Scores]) -> tuple[list[str] | None, FloatArray]:
    """The topic ids (None if scores are arrays) and the systems x topics table."""
    given = list(scores.items())
    first_name, first = given[0]
    topics = list(first) if isinstance(first, Mapping) else None
    rows: list[FloatArray] = []
    for name, values in given:
        if isinstance(values, Mapping) != (topics is not None):
            raise ValueError(f"scores: {first_name!r} and {name!r} differ in type. Give arrays or mappings for all.")
        if isinstance(values, Mapping):
            assert topics is not None
            if set(values) != set(topics):
                odd = sorted(set(values) ^ set(topics))[:3]
                raise ValueError(
                    f"scores: {name!r} and {first_name!r} have different topics (for example {', '.join(odd)}). "
                    "Keep only the topics that all systems have."
                )
            row = np.array([values[topic] for topic in topics], dtype=np.float64)
        else:
            row = np.asarray(values, dtype=np.float64).ravel()
        if rows and len(row) != len(rows[0]):
            raise ValueError(
                f"scores: {name!r} has {len(row)} topics, {first_name!r} has {len(rows[0])}; expected the same topics."
            )
        if not len(row) or not np.isfinite(row).all():
            raise ValueError(f"scores: {name!r} has no topics or scores that are not finite; expected numbers.")
        rows.append(row)
    return topics, np.stack(rows)


def _groups(groups: Mapping[str, str] | Sequence[str] | None, topics: list[str] | None, count: int) -> Groups | None:
    if groups is None:
        return None
    if isinstance(groups, Mapping):
        if topics is None:
            raise ValueError("groups: got a mapping by topic id, but the scores are arrays. Give a sequence of groups.")
        missing = [topic for topic in topics if topic not in groups]
        if missing:
            raise ValueError(f"groups: {len(missing)} topics have no group (for example {missing[0]}). Add them.")
        return Groups.from_labels([groups[topic] for topic in topics])
    if len(groups) != count:
        raise ValueError(f"groups: got {len(groups)}, expected {count}, one per topic.")
    return Groups.from_labels(list(groups))
