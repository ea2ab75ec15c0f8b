"""Success at a rank: whether a relevant document is found."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.metrics.interface import Metric


@dataclass(frozen=True)
class Success(Metric):
    """1 if a relevant document is among the first ``cutoff``, else 0.

    >>> Success(cutoff=1).trec_name
    'success.1'
    """

    kind: str = "Success"
    cutoff_rule = "required"
    aliases = ("Hit", "Accuracy")

    @property
    def trec_name(self) -> str:
        return f"success.{self.cutoff}"
