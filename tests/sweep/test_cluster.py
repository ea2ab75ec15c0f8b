"""How many trials fit: never more than can hold driver and workers at the same time."""

from __future__ import annotations

from typing import Any

import pytest

from optical_ray.config.experiment import ComputeConfig
from optical_ray.sweep.cluster import Capacity, is_local, local_capacity, workers_of
from optical_ray.types import InputError


@pytest.mark.parametrize(
    ("cpus", "gpus", "compute", "num_trials", "expected"),
    [
        (2, 0, {}, 9, 2),
        (2, 0, {"num_workers": 2}, 9, 1),
        (7, 0, {"num_workers": 2}, 9, 3),
        (8, 0, {"num_workers": 2, "cpus_per_worker": 3}, 9, 1),
        (8, 0, {}, 3, 3),
        (8, 0, {"max_concurrent_trials": 2}, 9, 2),
        (2, 0, {"max_concurrent_trials": 5}, 9, 2),
        (64, 4, {"num_workers": 2, "gpus_per_worker": 1}, 9, 2),
        (64, 1, {"gpus_per_worker": 0.25}, 9, 4),
        (2, 8, {"gpus_per_worker": 1}, 9, 2),
    ],
)
def test_as_many_trials_as_fit(
    cpus: float, gpus: float, compute: dict[str, Any], num_trials: int, expected: int
) -> None:
    config = ComputeConfig(**compute)
    num_concurrent = Capacity(((cpus, gpus),)).num_concurrent(config, num_trials)
    assert num_concurrent == expected
    assert num_concurrent * config.num_workers * config.cpus_per_worker <= cpus
    assert num_concurrent * config.num_workers * config.gpus_per_worker <= gpus


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        ({"num_workers": 3}, ["compute.num_workers", "3 CPUs", "has 2"]),
        ({"cpus_per_worker": 4}, ["4 CPUs", "has 2"]),
        ({"gpus_per_worker": 1}, ["1 GPUs", "has 0"]),
        ({"num_workers": 2, "gpus_per_worker": 0.5}, ["1 GPUs", "has 0"]),
    ],
)
def test_what_never_fits_is_refused(compute: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        Capacity(((2, 0),)).num_concurrent(ComputeConfig(**compute), 4)
    for word in words:
        assert word in str(caught.value)


def test_a_worker_is_on_one_node() -> None:
    nodes = Capacity(((8.0, 0.0), (4.0, 1.0), (4.0, 1.0)), for_drivers=0)
    gpu = {"gpus_per_worker": 1}
    assert nodes.num_concurrent(ComputeConfig(**gpu), 9) == 2
    assert nodes.num_concurrent(ComputeConfig(**gpu, cpus_per_worker=4), 9) == 2  # drivers are on the head
    assert nodes.num_concurrent(ComputeConfig(**gpu, num_workers=2), 9) == 1
    assert (
        nodes.num_concurrent(ComputeConfig(cpus_per_worker=3), 9) == 4
    )  # of 16 CPUs: two on the head, one on each other
    with pytest.raises(InputError, match=r"no room for 1 workers of 5 CPUs and 1 GPUs.*2 x \(4 CPUs, 1 GPUs\)"):
        nodes.num_concurrent(ComputeConfig(**gpu, cpus_per_worker=5), 9)


def test_drivers_have_their_share() -> None:
    assert Capacity(((3.0, 0.0),), for_drivers=0).num_concurrent(ComputeConfig(), 9) == 2
    with pytest.raises(InputError, match=r"a driver of 0\.01 CPUs"):
        Capacity(((2.0, 0.0),), for_drivers=0).num_concurrent(ComputeConfig(cpus_per_worker=2), 9)


def test_a_cluster_that_may_grow_is_believed_to_grow_as_far_as_is_asked() -> None:
    head = Capacity(((8.0, 0.0),), for_drivers=0, may_grow=True)
    with pytest.raises(InputError, match=r"the cluster has 0\. .*\. If an autoscaler adds nodes, set compute"):
        head.num_concurrent(ComputeConfig(gpus_per_worker=1), 9)
    assert head.num_concurrent(ComputeConfig(gpus_per_worker=1, max_concurrent_trials=4), 9) == 4
    assert head.num_concurrent(ComputeConfig(gpus_per_worker=1, max_concurrent_trials=4), 3) == 3


def test_nodes_that_may_come_count_and_are_waited_for() -> None:
    grows = Capacity(((8.0, 0.0),), ((4.0, 1.0),) * 3, for_drivers=0)
    gpu = ComputeConfig(gpus_per_worker=1)
    assert grows.num_concurrent(gpu, 9) == 3
    assert grows.waits(gpu)
    assert not grows.waits(ComputeConfig())


def test_attempts_are_one_more_than_failures() -> None:
    workers = workers_of(ComputeConfig(num_workers=2, cpus_per_worker=3, gpus_per_worker=0.5, max_attempts=4))
    assert (workers.num_workers, workers.cpus_per_worker, workers.gpus_per_worker) == (2, 3, 0.5)
    assert workers.max_failures == 3


def test_auto_is_local_unless_an_address_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert is_local("auto")
    assert is_local("local")
    assert not is_local("10.0.0.1:6379")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert not is_local("auto")
    assert is_local("local")


def test_this_machine_has_something() -> None:
    assert local_capacity().cpus >= 1
