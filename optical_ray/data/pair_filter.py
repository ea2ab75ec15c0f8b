"""The filter of sentence pairs; every dropped pair is counted by its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optical_ray.data.interface import Counts
from optical_ray.data.scripts import WORD_RULE, normalise, num_words
from optical_ray.registry import Configurable
from optical_ray.types import InputError

BLOCK = 8192


class Pair(NamedTuple):
    """A sentence pair as a source has it; ``pair_id`` and ``score`` are None if the source does not give them."""

    pivot: str
    foreign: str
    pair_id: str | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class PairFilter(Configurable):
    """Drops pairs, testing in this order: empty side, score, identical sides, length, ratio, duplicate.

    Lengths are in words (``scripts.num_words``), and both sides are tested; ``max_ratio`` is the longer side over the
    shorter. ``duplicates``: ``side`` drops a pair if either of its sides was kept before, ``pair`` if both sides were
    kept before in the same pair, ``keep`` drops none; texts are compared normalised. ``min_score`` also drops pairs
    without a score.
    """

    min_length: int = 3
    max_length: int = 128
    max_ratio: float = 3.0
    drop_identical: bool = True
    duplicates: Literal["side", "pair", "keep"] = "side"
    min_score: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.min_length <= self.max_length:
            raise InputError(f"filter: need 1 <= min_length <= max_length, got {self.min_length}, {self.max_length}")
        if not self.max_ratio >= 1:
            raise InputError(f"filter.max_ratio: must be >= 1, got {self.max_ratio}")
        if self.duplicates not in ("side", "pair", "keep"):
            raise InputError(f"filter.duplicates: must be side, pair or keep, got {self.duplicates!r}")

    def settings(self) -> dict[str, Any]:
        """Return everything that decides which pairs are kept, for a data set's fingerprint."""
        return {**{field.name: getattr(self, field.name) for field in fields(self)}, "word_rule": WORD_RULE}

    def apply(self, pairs: Iterable[Pair], counts: Counts) -> Iterator[Pair]:
        """Yield the pairs that are kept, without white space at the ends; count the others as dropped."""
        pairs = self._without_bad(pairs, counts)
        return pairs if self.duplicates == "keep" else self._without_duplicates(pairs, counts)

    def _without_bad(self, pairs: Iterable[Pair], counts: Counts) -> Iterator[Pair]:
        for pair in pairs:
            pivot, foreign = pair.pivot.strip(), pair.foreign.strip()
            reason = self._reason(pivot, foreign, pair.score)
            if reason is not None:
                counts.drop(reason)
            elif pivot is pair.pivot and foreign is pair.foreign:
                yield pair
            else:
                yield Pair(pivot, foreign, pair.pair_id, pair.score)

    def _reason(self, pivot: str, foreign: str, score: float | None) -> str | None:
        if not pivot or not foreign:
            return "empty"
        if self.min_score is not None and not (score is not None and score >= self.min_score):
            return "score"
        if self.drop_identical and pivot == foreign:
            return "identical"
        first, second = num_words(pivot), num_words(foreign)
        shorter, longer = (first, second) if first < second else (second, first)
        if shorter < self.min_length:
            return "too short"
        if longer > self.max_length:
            return "too long"
        return "ratio" if longer > self.max_ratio * shorter else None

    def _without_duplicates(self, pairs: Iterator[Pair], counts: Counts) -> Iterator[Pair]:
        sides = [SeenTexts() for _ in range(2 if self.duplicates == "side" else 1)]
        while block := list(islice(pairs, BLOCK)):
            texts = [(normalise(pair.pivot), normalise(pair.foreign)) for pair in block]
            keys = list(zip(*texts, strict=True)) if self.duplicates == "side" else [texts]
            hashes = [np.fromiter(map(hash, key), np.int64, len(block)) for key in keys]
            repeated = np.logical_or.reduce([seen.contains(h) for seen, h in zip(sides, hashes, strict=True)])
            if not repeated.any() and all(map(_are_distinct, hashes)):
                for seen, h in zip(sides, hashes, strict=True):
                    seen.add(h)
                yield from block
                continue
            fresh: list[set[int]] = [set() for _ in sides]
            for pair, old, *key in zip(block, repeated.tolist(), *(h.tolist() for h in hashes), strict=True):
                if old or any(k in new for k, new in zip(key, fresh, strict=True)):
                    counts.drop("duplicate")
                    continue
                for k, new in zip(key, fresh, strict=True):
                    new.add(k)
                yield pair
            for seen, new in zip(sides, fresh, strict=True):
                seen.add(np.fromiter(new, np.int64, len(new)))


class SeenTexts:
    """A set of hashes of texts, for finding duplicates among hundreds of millions at eight bytes a text.

    The hashes are kept in sorted runs; a run is merged with the previous one unless that is at least twice as long.
    Two different texts of n have the same hash with a probability of about n² / 2^65.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.int64]] = []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def contains(self, hashes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each of ``hashes`` whether it was added before."""
        order = np.argsort(hashes)
        ordered = hashes[order]  # in order, so that the search walks through memory forwards
        result = np.zeros(len(hashes), dtype=np.bool_)
        for run in self._runs:
            position = np.minimum(np.searchsorted(run, ordered), len(run) - 1)
            result[order] |= run[position] == ordered
        return result

    def add(self, hashes: NDArray[np.int64]) -> None:
        """Add ``hashes``, none of which may be in the set."""
        if not len(hashes):
            return
        self._runs.append(np.sort(hashes))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]), kind="stable")


def _are_distinct(hashes: NDArray[np.int64]) -> bool:
    return bool((np.diff(np.sort(hashes)) != 0).all())
