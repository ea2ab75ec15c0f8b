"""The verb ``prepare``: make what all trials of a study share."""

from __future__ import annotations

import shlex

from optical_ray.cli.options import Address, Settings, Spec, Storage


def command(spec: Spec, storage: Storage = "runs", set_: Settings = None, address: Address = "auto") -> None:
    """Make all that trials share: tokens, teacher, teacher embeddings, the undistilled student's scores."""
    from optical_ray.cli.screen.progress import Watch
    from optical_ray.cli.screen.terminal import console, redirect_output
    from optical_ray.config.load import load
    from optical_ray.study.layout import StorageFolder
    from optical_ray.sweep.study import check_storage, prepare_study

    experiment = load(spec, set_ or [])
    folder = StorageFolder(check_storage(storage))
    with redirect_output(folder.log(experiment.name)) as screen, Watch(screen, experiment) as watch:
        prepare_study(experiment, folder.path, address=address, observer=watch)
    screen = console()
    watch.print_data(screen)
    study = folder.study(experiment.name).path
    screen.print(f"prepared in {study}; next: optical-ray run {shlex.quote(str(spec))}", soft_wrap=True)
