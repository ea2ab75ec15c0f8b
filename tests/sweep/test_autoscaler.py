"""What a cluster may grow to, from the file that ``ray up`` leaves on its head."""

from __future__ import annotations

from pathlib import Path

import yaml

from optical_ray.sweep.autoscaler import NodeGroup, groups_of, startable_nodes

OURS = Path(__file__).parents[2] / "cluster.yaml"


def test_the_groups_of_our_own_cluster() -> None:
    assert groups_of(yaml.safe_load(OURS.read_text())) == [NodeGroup(4, 1, 4), NodeGroup(48, 4, 0)]


def test_a_group_without_a_limit_has_that_of_all() -> None:
    types = {"head": {"resources": {"CPU": 2}}, "small": {"resources": {"CPU": 4}}}
    config = {"max_workers": 3, "head_node_type": "head", "available_node_types": types}
    assert groups_of(config) == [NodeGroup(4, 0, 3)]


def test_running_nodes_are_not_counted_twice() -> None:
    head, worker = (8.0, 0.0), (4.0, 1.0)
    assert startable_nodes([head], [NodeGroup(4, 1, 2)]) == (worker, worker)
    assert startable_nodes([head, worker], [NodeGroup(4, 1, 2)]) == (worker,)
    assert startable_nodes([head, worker, worker, worker], [NodeGroup(4, 1, 2)]) == ()
    assert startable_nodes([head], []) == ()
