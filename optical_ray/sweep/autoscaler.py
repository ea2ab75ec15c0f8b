"""The nodes that a cluster's autoscaler may start, as its configuration declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

BOOTSTRAP_CONFIG = Path("~/ray_bootstrap_config.yaml")
"""Where ``ray up`` leaves the cluster's YAML on the head node; Ray Tune looks there, too."""

Node = tuple[float, float]
"""CPUs and GPUs of one node."""


@dataclass(frozen=True)
class NodeGroup:
    """Up to ``most`` equal worker nodes."""

    cpus: float
    gpus: float
    most: int


def declared_groups() -> list[NodeGroup]:
    """The groups of worker nodes of the cluster that this process is connected to; none where there is no autoscaler.

    Read from what the cluster's platform has reported to Ray, else, on a head that ``ray up`` made, from its file.
    """
    from ray._private.state import state

    reported = state.get_cluster_config()
    if reported is not None and reported.node_group_configs:
        return [
            NodeGroup(group.resources.get("CPU", 0), group.resources.get("GPU", 0), _most(group.max_count))
            for group in reported.node_group_configs
        ]
    path = BOOTSTRAP_CONFIG.expanduser()
    return groups_of(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else []


def groups_of(config: Mapping[str, Any]) -> list[NodeGroup]:
    """The groups that a cluster YAML declares, its head left out; ``max_workers`` of all holds for each."""
    most = int(config.get("max_workers", 0))
    return [
        NodeGroup(
            float(node.get("resources", {}).get("CPU", 0)),
            float(node.get("resources", {}).get("GPU", 0)),
            min(int(node.get("max_workers", most)), most),
        )
        for name, node in config.get("available_node_types", {}).items()
        if name != config.get("head_node_type")
    ]


def still_to_come(running: Sequence[Node], groups: Sequence[NodeGroup]) -> tuple[Node, ...]:
    """The nodes that may be started beside those that run: of each group as many as it may have."""
    shapes = ((group, (group.cpus, group.gpus)) for group in groups)
    return tuple(
        shape for group, shape in shapes for _ in range(group.most - sum(_alike(node, shape) for node in running))
    )


def _alike(node: Node, shape: Node) -> bool:
    return abs(node[0] - shape[0]) < 1 and abs(node[1] - shape[1]) < 1e-6


def _most(count: int) -> int:
    """-1 stands for no limit; no study has more trials at once than this."""
    return 1024 if count < 0 else count
