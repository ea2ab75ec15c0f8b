"""Run a loop on Ray Train's workers and wait for its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Any

from ray.train import CheckpointConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig

from optical_ray.training.context import Context
from optical_ray.training.worker import run


@dataclass(frozen=True)
class Workers:
    """A worker group: ``num_workers`` processes with ``cpus_per_worker`` and ``gpus_per_worker`` each."""

    num_workers: int = 1
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0
    max_failures: int = 2
    """How often a lost worker group is restarted from its last checkpoint."""


def fit(
    loop: Callable[[Context, Any], None],
    job: Any,
    *,
    name: str,
    folder: Path,
    workers: Workers,
    callbacks: Sequence[UserCallback] = (),
) -> dict[str, Any]:
    """Run ``loop(context, job)`` on every worker; a run of this ``name`` in ``folder`` resumes from its checkpoint.

    Returns the last report of rank 0; raises ``ray.train.TrainingFailedError`` once the restarts are used up.
    """
    resources: dict[str, float] = {"CPU": workers.cpus_per_worker}
    if workers.gpus_per_worker:
        resources["GPU"] = workers.gpus_per_worker
    trainer = TorchTrainer(
        run,
        train_loop_config={"loop": loop, "job": job},
        torch_config=TorchConfig(backend="nccl" if workers.gpus_per_worker else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=workers.gpus_per_worker > 0,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=name,
            storage_path=str(folder.resolve()),
            failure_config=FailureConfig(
                max_failures=workers.max_failures, controller_failure_limit=workers.max_failures
            ),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            callbacks=list(callbacks),
            logging_config=LoggingConfig(log_level="ERROR"),
            worker_runtime_env={"env_vars": {"OMP_NUM_THREADS": str(workers.cpus_per_worker)}},
        ),
    )
    result = _in_thread(trainer.fit) if current_thread() is main_thread() else trainer.fit()
    return dict(result.metrics or {})


def _in_thread(call: Callable[[], Any]) -> Any:
    """Run ``call`` in a thread: in the main thread, Ray Train would replace the handler of SIGINT for good."""
    outcome: Future[Any] = Future()

    def run_call() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run_call, name="train", daemon=True).start()
    return outcome.result()
