"""Normalised discounted cumulative gain, over the grades."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.metrics.interface import Metric


@dataclass(frozen=True)
class NDCG(Metric):
    """sum of grade / log2(1 + rank), divided by that of the best possible ranking.

    The gains are the grades themselves, whatever ``relevance_level`` is. Source: Järvelin and Kekäläinen, TOIS 2002, as
    computed by trec_eval.

    >>> NDCG(cutoff=20).trec_name
    'ndcg_cut.20'
    """

    kind: str = "nDCG"
    aliases = ("NDCG", "ndcg")

    @property
    def trec_name(self) -> str:
        return "ndcg" if self.cutoff is None else f"ndcg_cut.{self.cutoff}"
