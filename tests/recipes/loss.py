"""A complete loss. As a file in ``optical_ray/losses/`` it is found by its kind, and no other file changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from optical_ray.losses.interface import Loss, LossOutput
from optical_ray.retrieval.embeddings import TokenEmbeddings


@dataclass(frozen=True)
class MeanPooled(Loss):
    """Mean over pairs of the squared distance between the mean token vectors, times ``scale``."""

    kind: Literal["mean_pooled"] = "mean_pooled"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise ValueError(f"scale: must be > 0, got {self.scale}")

    def compute(self, student: TokenEmbeddings, teacher: TokenEmbeddings) -> LossOutput:
        distances = (student.mean() - teacher.mean()).square().sum(-1)
        return LossOutput(self.scale * distances.mean())
