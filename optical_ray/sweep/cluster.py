"""The Ray cluster that a study runs on: what it has, and how many trials fit at once."""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray

from optical_ray.config.experiment import ComputeConfig
from optical_ray.sweep.autoscaler import Node, declared_groups, still_to_come
from optical_ray.training.driver import Workers
from optical_ray.types import InputError

DRIVER_CPUS = 0.01
"""What a trial's driver asks for; Ray refuses 0."""

ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # a report waits for the controller's next look
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3600",  # an autoscaler's node may take long, and is not a failure
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True)
class Capacity:
    """What trials can have: the nodes that run, and those that an autoscaler may start (``coming``).

    ``for_drivers``: CPUs beside those, which only drivers use. ``may_grow``: more may come, as no autoscaler's limits
    are known of a cluster that is not our own.
    """

    running: tuple[Node, ...]
    coming: tuple[Node, ...] = ()
    for_drivers: float = 1.0
    may_grow: bool = False

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All of them."""
        return self.running + self.coming

    @property
    def cpus(self) -> float:
        """Of all nodes."""
        return sum(cpus for cpus, _ in self.nodes)

    @property
    def gpus(self) -> float:
        """Of all nodes."""
        return sum(gpus for _, gpus in self.nodes)

    def num_concurrent(self, compute: ComputeConfig, num_trials: int) -> int:
        """How many trials run side by side; raises ``InputError`` where not even one fits.

        A trial holds its driver and all its workers at the same time, so no trial can wait for another's workers. A
        worker's CPUs and GPUs are on one node. Where nodes ``may_grow``, ``compute.max_concurrent_trials`` is believed.
        """
        asked = compute.max_concurrent_trials
        fit = sum(_seats(node, compute) for node in self.nodes) // compute.num_workers
        per_trial = compute.num_workers * compute.cpus_per_worker + DRIVER_CPUS
        fit = min(fit, int((self.cpus + self.for_drivers) / per_trial))
        if fit == 0 and not (self.may_grow and asked):
            raise InputError(self._too_small(compute))
        return min(max(fit, asked or 0) if self.may_grow else fit, num_trials, asked or num_trials)

    def waits(self, compute: ComputeConfig) -> bool:
        """Whether not even one trial has room before nodes have come."""
        return sum(_seats(node, compute) for node in self.running) < compute.num_workers

    def _too_small(self, compute: ComputeConfig) -> str:
        workers = compute.num_workers
        cpus, gpus = workers * compute.cpus_per_worker, workers * compute.gpus_per_worker
        grow = "; where an autoscaler brings nodes, set compute.max_concurrent_trials" if self.may_grow else ""
        for name, need, have in (("CPUs", cpus, self.cpus), ("GPUs", gpus, self.gpus)):
            if need > have:
                return (
                    f"compute.num_workers: a trial of {workers} workers needs {need:g} {name}, "
                    f"the cluster has {have:g}; lower compute.num_workers or the {name} per worker{grow}"
                )
        return (  # or nothing is left for a trial's driver
            f"compute.cpus_per_worker: no room for {workers} workers of {compute.cpus_per_worker} CPUs and "
            f"{compute.gpus_per_worker:g} GPUs, each on one node, and a driver of {DRIVER_CPUS:g} CPUs on nodes of "
            f"{_listed(self.nodes)}; lower them{grow}"
        )


def _seats(node: Node, compute: ComputeConfig) -> int:
    """Workers that fit on one node."""
    cpus, gpus = node
    by_cpu = int(cpus // compute.cpus_per_worker)
    return min(by_cpu, int(gpus // compute.gpus_per_worker)) if compute.gpus_per_worker else by_cpu


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(f"{count} x ({cpus:g} CPUs, {gpus:g} GPUs)" for (cpus, gpus), count in Counter(nodes).items())


def workers_of(compute: ComputeConfig) -> Workers:
    """The worker group of one trial."""
    return Workers(
        compute.num_workers, compute.cpus_per_worker, compute.gpus_per_worker, max_failures=compute.max_attempts - 1
    )


def local_capacity() -> Capacity:
    """This machine's."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    manager = get_accelerator_manager_for_resource("GPU")
    gpus = manager.get_current_node_num_accelerators() if manager is not None else 0
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Capacity(((float(cpus), float(gpus)),))


def is_local(address: str) -> bool:
    """Whether ``address`` means a cluster of our own: "auto" is RAY_ADDRESS where set, never a stale file's word."""
    return address == "local" or (address == "auto" and not os.environ.get("RAY_ADDRESS"))


@contextmanager
def cluster(address: str) -> Iterator[Capacity]:
    """Connect to the cluster at ``address`` ("auto", "local", "host:port"), or start one; let go of it at the end.

    Where this process is connected already, that cluster is used and left alone. Raises ``InputError`` for an address
    where no cluster answers.
    """
    if ray.is_initialized():
        yield _capacity()
        return
    for name, value in {
        **ENVIRONMENT,
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
    }.items():
        os.environ.setdefault(name, value)
    own = local_capacity()
    try:
        if is_local(address):
            os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # nobody takes this machine away
            # one CPU more than there is: it holds the drivers, which compute nothing
            ray.init(address="local", num_cpus=int(own.cpus) + 1, log_to_driver=False, logging_level=logging.ERROR)
        else:
            where = os.environ["RAY_ADDRESS"] if address == "auto" else address
            _check_that_somebody_listens(where)
            variables = {name: os.environ[name] for name in ENVIRONMENT}
            ray.init(where, runtime_env={"env_vars": variables}, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise InputError(
            f"--address {address}: no Ray cluster answers there; start one, or use --address local"
        ) from error
    try:
        yield own if is_local(address) else _capacity()
    finally:
        ray.shutdown()


def _check_that_somebody_listens(address: str) -> None:
    """Ray itself tries for many minutes; raises ``ConnectionError`` at once. Only ``host:port`` is looked at."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "://" in address:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(address) from error


def _capacity() -> Capacity:
    """Of the cluster that this process is connected to."""
    running = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = tuple((node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in running)
    groups = declared_groups()
    return Capacity(nodes, still_to_come(nodes, groups), for_drivers=0, may_grow=not groups)
