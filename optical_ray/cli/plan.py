"""The verb ``plan``: what a run would do."""

from __future__ import annotations

from optical_ray.cli.options import Address, Settings, Spec, Storage


def command(spec: Spec, storage: Storage = "runs", set_: Settings = None, address: Address = "auto") -> None:
    """Check every corner of SPEC and show what a run would do; nothing is written."""
    from optical_ray.cli.screen.plan_lines import plan_lines
    from optical_ray.cli.screen.terminal import console
    from optical_ray.config.load import load
    from optical_ray.study.layout import StorageFolder
    from optical_ray.sweep.cluster import cluster
    from optical_ray.sweep.description import check_unchanged
    from optical_ray.sweep.study import capacity_before_start, check_storage

    experiment = load(spec, set_ or [])
    folder = StorageFolder(check_storage(storage)).study(experiment.name).path
    check_unchanged(experiment, folder)
    capacity = capacity_before_start(address)
    if capacity is None:
        with cluster(address) as connected:
            capacity = connected
    for line in plan_lines(experiment, folder, capacity):
        console().print(line, soft_wrap=True)
