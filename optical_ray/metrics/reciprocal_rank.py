"""Reciprocal rank; its mean over topics is MRR."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.metrics.interface import Metric


@dataclass(frozen=True)
class ReciprocalRank(Metric):
    """1 / rank of the first relevant document; with a cutoff, 0 if its rank is larger.

    >>> ReciprocalRank(cutoff=10).finish(1 / 10), ReciprocalRank(cutoff=10).finish(1 / 11)
    (0.1, 0.0)
    """

    kind: str = "RR"
    aliases = ("MRR",)

    @property
    def trec_name(self) -> str:
        return "recip_rank"

    def finish(self, value: float) -> float:
        # half a rank of tolerance: 1 / value is a whole number up to rounding
        return value if self.cutoff is None or value * (self.cutoff + 0.5) >= 1 else 0.0
