"""Precision at a rank."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.metrics.interface import Metric


@dataclass(frozen=True)
class Precision(Metric):
    """Number of relevant documents among the first ``cutoff``, divided by ``cutoff``.

    >>> Precision(cutoff=10).trec_name
    'P.10'
    """

    kind: str = "P"
    cutoff_rule = "required"
    aliases = ("Precision",)

    @property
    def trec_name(self) -> str:
        return f"P.{self.cutoff}"
