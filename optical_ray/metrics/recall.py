"""Recall at a rank."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.metrics.interface import Metric


@dataclass(frozen=True)
class Recall(Metric):
    """Share of the relevant documents that are among the first ``cutoff``.

    >>> Recall(cutoff=100).trec_name
    'recall.100'
    """

    kind: str = "R"
    cutoff_rule = "required"
    aliases = ("Recall",)

    @property
    def trec_name(self) -> str:
        return f"recall.{self.cutoff}"
