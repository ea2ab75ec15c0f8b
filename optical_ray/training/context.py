"""The services that a training loop needs: from Ray Train's worker group, or from this process without Ray."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

Rows = list[dict[str, Any]]


class Context(ABC):
    """One worker's view of its run."""

    rank: int
    num_workers: int
    device: torch.device

    @abstractmethod
    def wrap(self, module: nn.Module) -> nn.Module:
        """``module`` on this worker's device, its gradients averaged over the workers."""

    @abstractmethod
    def restore(self) -> Path | None:
        """The folder of the run's last checkpoint, or None if it starts from scratch."""

    @abstractmethod
    def report(self, metrics: dict[str, Any], write: Callable[[Path], None] | None = None) -> None:
        """Send ``metrics`` and a checkpoint folder that ``write`` fills. All workers call it; that of rank 0 counts."""

    @property
    def is_rank_zero(self) -> bool:
        """Whether this worker writes the files of its group."""
        return self.rank == 0


@dataclass
class LocalContext(Context):
    """One worker in this process, without Ray: for benchmarks, tests and machines without a cluster."""

    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    rank: int = 0
    num_workers: int = 1
    reports: Rows = field(default_factory=list)

    def wrap(self, module: nn.Module) -> nn.Module:
        """``module`` on the device."""
        return module.to(self.device)

    def restore(self) -> Path | None:
        """The last checkpoint in ``folder``."""
        checkpoint = self.folder / "checkpoint"
        return checkpoint if checkpoint.is_dir() else None

    def report(self, metrics: dict[str, Any], write: Callable[[Path], None] | None = None) -> None:
        """Keep ``metrics`` in ``reports`` and the checkpoint in ``folder``."""
        self.reports.append(metrics)
        if write is not None:
            fresh = self.folder / "fresh"
            fresh.mkdir(parents=True)
            write(fresh)
            shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
            fresh.rename(self.folder / "checkpoint")
