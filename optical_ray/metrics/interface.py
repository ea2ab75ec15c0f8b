"""What every metric offers: its name, trec_eval's name for it, and the step from trec_eval's value to its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from optical_ray.registry import Configurable


@dataclass(frozen=True)
class Metric(Configurable, ABC):
    """A measure of a ranking: ``kind`` is its name, ``cutoff`` the last rank that it uses (None: all ranks).

    ``cutoff_rule`` states whether a cutoff is required, optional or not allowed; ``aliases`` are other names of it.
    Raises ``ValueError`` for a cutoff that breaks the rule.
    """

    kind: str
    cutoff: int | None = None
    cutoff_rule: ClassVar[Literal["required", "optional", "none"]] = "optional"
    aliases: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.cutoff is None and self.cutoff_rule == "required":
            raise ValueError(f"{self.kind}: needs a cutoff, such as {self.kind}@10")
        if self.cutoff is not None and self.cutoff_rule == "none":
            raise ValueError(f"{self.kind}: takes no cutoff, got @{self.cutoff}")
        if self.cutoff is not None and self.cutoff < 1:
            raise ValueError(f"{self.kind}: cutoff must be >= 1, got {self.cutoff}")

    @property
    def name(self) -> str:
        """Kind and cutoff: ``nDCG@20``."""
        return self.kind if self.cutoff is None else f"{self.kind}@{self.cutoff}"

    @property
    @abstractmethod
    def trec_name(self) -> str:
        """The measure that trec_eval computes: ``ndcg_cut.20``."""

    def finish(self, value: float) -> float:
        """Return this metric's value, given trec_eval's."""
        return value
