"""The nodes that a cluster's autoscaler may start, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

BOOTSTRAP_CONFIG = Path("~/ray_bootstrap_config.yaml")
"""Where ``ray up`` stores the cluster's YAML on the head node; Ray Tune reads it, too."""

Node = tuple[float, float]
"""CPUs and GPUs of one node."""


@dataclass(frozen=True)
class NodeGroup:
    """Up to ``max_nodes`` equal worker nodes."""

    cpus: float
    gpus: float
    max_nodes: int


def declared_groups() -> list[NodeGroup]:
    """Return the groups of worker nodes of the connected cluster; an empty list if it has no autoscaler.

    They are read from what the cluster's platform has reported to Ray; if it has reported nothing, from the file that
    ``ray up`` stores on the head node.
    """
    from ray._private.state import state

    reported = state.get_cluster_config()
    if reported is not None and reported.node_group_configs:
        return [
            NodeGroup(group.resources.get("CPU", 0), group.resources.get("GPU", 0), _limit(group.max_count))
            for group in reported.node_group_configs
        ]
    path = BOOTSTRAP_CONFIG.expanduser()
    return groups_of(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else []


def groups_of(config: Mapping[str, Any]) -> list[NodeGroup]:
    """Return the groups in a cluster's YAML without its head; the cluster's ``max_workers`` also limits each group."""
    limit = int(config.get("max_workers", 0))
    return [
        NodeGroup(
            float(node.get("resources", {}).get("CPU", 0)),
            float(node.get("resources", {}).get("GPU", 0)),
            min(int(node.get("max_workers", limit)), limit),
        )
        for name, node in config.get("available_node_types", {}).items()
        if name != config.get("head_node_type")
    ]


def startable_nodes(running: Sequence[Node], groups: Sequence[NodeGroup]) -> tuple[Node, ...]:
    """Return the nodes that the autoscaler may start in addition to ``running``, up to the limit of each group."""
    shapes = ((group, (group.cpus, group.gpus)) for group in groups)
    return tuple(
        shape
        for group, shape in shapes
        for _ in range(group.max_nodes - sum(_have_equal_shape(node, shape) for node in running))
    )


def _have_equal_shape(node: Node, shape: Node) -> bool:
    return abs(node[0] - shape[0]) < 1 and abs(node[1] - shape[1]) < 1e-6


def _limit(count: int) -> int:
    """-1 means no limit; it is replaced by more nodes than any study uses."""
    return 1024 if count < 0 else count
