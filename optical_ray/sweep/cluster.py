"""The Ray cluster that a study runs on: its resources, and how many trials fit at once."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray

from optical_ray.config.experiment import ComputeConfig
from optical_ray.sweep.autoscaler import Node, declared_groups, startable_nodes
from optical_ray.training.driver import Workers
from optical_ray.types import InputError

DRIVER_CPUS = 0.01
"""CPUs of a trial's driver; Ray refuses 0."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # a report waits for the controller's next poll
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3600",  # an autoscaler may need long to start a node
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True)
class Capacity:
    """The resources for trials: nodes that are running, and those that an autoscaler may start (``startable``).

    ``for_drivers``: additional CPUs that only drivers use. ``may_grow``: the cluster may start further nodes, because
    the limits of its autoscaler are unknown.
    """

    running: tuple[Node, ...]
    startable: tuple[Node, ...] = ()
    for_drivers: float = 1.0
    may_grow: bool = False

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Running and startable nodes."""
        return self.running + self.startable

    @property
    def cpus(self) -> float:
        """CPUs of all nodes."""
        return sum(cpus for cpus, _ in self.nodes)

    @property
    def gpus(self) -> float:
        """GPUs of all nodes."""
        return sum(gpus for _, gpus in self.nodes)

    def num_concurrent(self, compute: ComputeConfig, num_trials: int) -> int:
        """Return how many trials run at once; raises ``InputError`` if not even one fits.

        A trial uses its driver and all its workers at the same time, so that no trial waits for workers of another. A
        worker's CPUs and GPUs are on one node. If the cluster ``may_grow``, ``compute.max_concurrent_trials`` trials
        are assumed to fit.
        """
        requested = compute.max_concurrent_trials
        fit = sum(_num_workers_on(node, compute) for node in self.nodes) // compute.num_workers
        per_trial = compute.num_workers * compute.cpus_per_worker + DRIVER_CPUS
        fit = min(fit, int((self.cpus + self.for_drivers) / per_trial))
        if fit == 0 and not (self.may_grow and requested):
            raise InputError(self._too_small(compute))
        return min(max(fit, requested or 0) if self.may_grow else fit, num_trials, requested or num_trials)

    def waits(self, compute: ComputeConfig) -> bool:
        """Whether not even one trial fits on the nodes that are running."""
        return sum(_num_workers_on(node, compute) for node in self.running) < compute.num_workers

    def _too_small(self, compute: ComputeConfig) -> str:
        workers = compute.num_workers
        cpus, gpus = workers * compute.cpus_per_worker, workers * compute.gpus_per_worker
        grow = " If an autoscaler adds nodes, set compute.max_concurrent_trials." if self.may_grow else ""
        for name, need, have in (("CPUs", cpus, self.cpus), ("GPUs", gpus, self.gpus)):
            if need > have:
                return (
                    f"compute.num_workers: a trial of {workers} workers needs {need:g} {name}, "
                    f"the cluster has {have:g}. Lower compute.num_workers or the {name} per worker.{grow}"
                )
        return (
            f"compute.cpus_per_worker: no room for {workers} workers of {compute.cpus_per_worker} CPUs and "
            f"{compute.gpus_per_worker:g} GPUs, each on one node, and a driver of {DRIVER_CPUS:g} CPUs on nodes of "
            f"{_listed(self.nodes)}. Lower them.{grow}"
        )


def _num_workers_on(node: Node, compute: ComputeConfig) -> int:
    """The number of workers that fit on one node."""
    cpus, gpus = node
    by_cpu = int(cpus // compute.cpus_per_worker)
    return min(by_cpu, int(gpus // compute.gpus_per_worker)) if compute.gpus_per_worker else by_cpu


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(
        f"{count} x ({cpus:g} CPUs, {gpus:g} GPUs)" for (cpus, gpus), count in Counter(nodes).most_common(8)
    )


def workers_of(compute: ComputeConfig) -> Workers:
    """Return the worker group of one trial."""
    return Workers(
        compute.num_workers, compute.cpus_per_worker, compute.gpus_per_worker, max_failures=compute.max_attempts - 1
    )


def local_capacity() -> Capacity:
    """Return the capacity of this machine."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    manager = get_accelerator_manager_for_resource("GPU")
    gpus = manager.get_current_node_num_accelerators() if manager is not None else 0
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Capacity(((float(cpus), float(gpus)),))


def is_local(address: str) -> bool:
    """Whether ``address`` means a new local cluster: "auto" is RAY_ADDRESS if it is set, otherwise "local"."""
    return address == "local" or (address == "auto" and not os.environ.get("RAY_ADDRESS"))


@contextmanager
def cluster(address: str) -> Iterator[Capacity]:
    """Connect to the cluster at ``address`` ("auto", "local", "host:port"), or start one; disconnect at the end.

    If this process is already connected to a cluster, that one is used, and stays connected. Raises ``InputError`` if
    no cluster answers at ``address``.
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
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        if is_local(address):
            os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # this machine is not preempted
            # one CPU more than the machine has, for the drivers, which only wait
            ray.init(address="local", num_cpus=int(own.cpus) + 1, log_to_driver=False, logging_level=logging.ERROR)
        else:
            resolved = os.environ["RAY_ADDRESS"] if address == "auto" else address
            _check_listening(resolved)
            variables = {name: os.environ[name] for name in ENVIRONMENT}
            ray.init(resolved, runtime_env={"env_vars": variables}, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise InputError(f"--address {address}: no Ray cluster answers. Start one, or use --address local.") from error
    _restore(handlers)
    try:
        yield own if is_local(address) else _capacity()
    finally:
        ray.shutdown()


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    """Set the Python ``handlers`` of signals again: Ray replaces them by ones that end the process at once."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)


def _check_listening(address: str) -> None:
    """Raise ``ConnectionError`` if nothing listens at ``host:port``; Ray itself would retry for many minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "://" in address:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(address) from error


def _capacity() -> Capacity:
    """The capacity of the connected cluster."""
    running = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = tuple((node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in running)
    groups = declared_groups()
    return Capacity(nodes, startable_nodes(nodes, groups), for_drivers=0, may_grow=not groups)
