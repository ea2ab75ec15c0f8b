"""Average precision; its mean over topics is MAP."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.metrics.interface import Metric


@dataclass(frozen=True)
class AveragePrecision(Metric):
    """Mean, over all relevant documents, of the precision at their rank (0 for those not retrieved).

    >>> AveragePrecision(cutoff=10).trec_name
    'map_cut.10'
    """

    kind: str = "AP"
    aliases = ("MAP",)

    @property
    def trec_name(self) -> str:
        return "map" if self.cutoff is None else f"map_cut.{self.cutoff}"
