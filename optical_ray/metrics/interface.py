"""What every measure of a ranking offers: its name in the field, its name in trec_eval, and what is left to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Metric(ABC):
    """A measure as a value: ``kind`` is its name in the field, ``cutoff`` the rank it looks to, None for all ranks.

    ``cutoff_rule`` says whether a cutoff may or must be given; ``aliases`` are other names it is written by.
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
        """As it is written in the field: ``nDCG@20``."""
        return self.kind if self.cutoff is None else f"{self.kind}@{self.cutoff}"

    @property
    @abstractmethod
    def trec_name(self) -> str:
        """The measure that trec_eval is asked for: ``ndcg_cut.20``."""

    def finish(self, value: float) -> float:
        """This measure's value from trec_eval's."""
        return value
