"""Which sentence pairs are kept: a filter whose every drop is counted by its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optical_ray.data.interface import Counts
from optical_ray.data.normalise import normalise
from optical_ray.data.seen_texts import SeenTexts
from optical_ray.data.sentence_length import num_words
from optical_ray.registry import Configurable
from optical_ray.types import InputError

BLOCK = 8192


class Pair(NamedTuple):
    """A sentence pair as a source has it; ``pair_id`` and ``score`` where the source gives them."""

    pivot: str
    foreign: str
    pair_id: str | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class PairFilter(Configurable):
    """Drops pairs, in this order of tests: empty side, score, identical sides, length, ratio, duplicate.

    Lengths are in words (``sentence_length.num_words``), both sides tested; ``max_ratio`` is the longer side over the
    shorter. ``duplicates``: ``side`` drops a pair of which either side was kept before, ``pair`` one of which both
    were in the same pair, ``keep`` none; texts are compared normalised. ``min_score`` also drops pairs without a score.
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

    def apply(self, pairs: Iterable[Pair], counts: Counts) -> Iterator[Pair]:
        """Yield the pairs that are kept, their sides stripped of white space; count the others as dropped."""
        pairs = self._by_themselves(pairs, counts)
        return pairs if self.duplicates == "keep" else self._without_repeats(pairs, counts)

    def _by_themselves(self, pairs: Iterable[Pair], counts: Counts) -> Iterator[Pair]:
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

    def _without_repeats(self, pairs: Iterator[Pair], counts: Counts) -> Iterator[Pair]:
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


def _are_distinct(hashes: NDArray[np.int64]) -> bool:
    return bool((np.diff(np.sort(hashes)) != 0).all())
