"""Run a loop inside one worker of Ray Train's group."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
from torch import nn

from optical_ray.study.events import Failed, to_report
from optical_ray.training.context import Context


class RayContext(Context):
    """The worker's rank, device and reporting as Ray Train gives them."""

    def __init__(self) -> None:
        context = ray.train.get_context()
        self.rank = context.get_world_rank()
        self.num_workers = context.get_world_size()
        self.device = ray.train.torch.get_device()

    def wrap(self, module: nn.Module) -> nn.Module:
        """``module`` on this worker's device, in DistributedDataParallel if there are several workers."""
        wrapped: nn.Module = ray.train.torch.prepare_model(
            module, parallel_strategy_kwargs={"broadcast_buffers": False}
        )
        return wrapped

    def restore(self) -> Path | None:
        """The last checkpoint of this run, in the storage that all nodes share."""
        checkpoint = ray.train.get_checkpoint()
        return None if checkpoint is None else Path(checkpoint.path)

    def report(self, metrics: dict[str, Any], write: Callable[[Path], None] | None = None) -> None:
        """Report to Ray Train."""
        if write is None or not self.is_rank_zero:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def run(config: dict[str, Any]) -> None:
    """Ray Train's entry point: call ``config["loop"](context, config["job"])``.

    A loss that is not finite is reported as ``Failed`` instead of raised, because another attempt would only repeat it.
    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    context, job = RayContext(), config["job"]
    try:
        config["loop"](context, job)
    except FloatingPointError as error:
        context.report(to_report(Failed(getattr(job, "key", ""), str(error))))
