"""Precision at the rank that equals the number of relevant documents."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.metrics.interface import Metric


@dataclass(frozen=True)
class RPrecision(Metric):
    """Precision at rank R, where R is the number of relevant documents of the topic.

    >>> RPrecision().trec_name
    'Rprec'
    """

    kind: str = "Rprec"
    cutoff_rule = "none"
    aliases = ("RPrec",)

    @property
    def trec_name(self) -> str:
        return "Rprec"
