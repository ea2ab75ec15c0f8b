"""Binary preference: the share of relevant documents ranked above judged non-relevant ones."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.metrics.interface import Metric


@dataclass(frozen=True)
class BinaryPreference(Metric):
    """Mean over relevant documents of 1 - (non-relevant documents above it) / min(R, N).

    Counts only the first R judged non-relevant documents; R and N are the numbers of relevant and non-relevant ones.
    Source: Buckley and Voorhees, SIGIR 2004.
    """

    kind: str = "Bpref"
    cutoff_rule = "none"

    @property
    def trec_name(self) -> str:
        return "bpref"
