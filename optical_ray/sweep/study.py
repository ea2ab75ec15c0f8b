"""Run a study, or go on with it: lease, ledger, searcher, trials, trackers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from optical_ray.config.experiment import Experiment
from optical_ray.config.space import Params
from optical_ray.prepare.baselines import check_baselines, score_runs
from optical_ray.prepare.study import Prepared, prepare_models
from optical_ray.prepare.text import Text, prepare_text
from optical_ray.study.files import nearest_existing
from optical_ray.study.lease import Lease
from optical_ray.study.records import Ledger, TrialState
from optical_ray.study.summary import best_of
from optical_ray.sweep.baselines import add_baselines
from optical_ray.sweep.cluster import DRIVER_CPUS, Capacity, cluster, is_local, local_capacity, workers_of
from optical_ray.sweep.description import check_unchanged, describe
from optical_ray.sweep.proposals import Proposals, first_ones, identity, num_configurations
from optical_ray.sweep.rescore import rescore
from optical_ray.sweep.search import LedgerCallback, LedgerSearcher, register, runnable, score_of
from optical_ray.sweep.trial import run_configuration
from optical_ray.tracking.interface import Tracker
from optical_ray.training.driver import fit
from optical_ray.types import InputError


@dataclass
class Progress:
    """How far a launch is, for whoever watches: ``stage`` in words, ``total`` trials, how many run ``at_once``."""

    stage: str = "starting"
    ledger: Ledger | None = None
    total: int = 0
    at_once: int = 1
    started: float = field(default_factory=time.time)
    data: dict[str, Any] = field(default_factory=dict)

    def say(self, stage: str) -> None:
        """Enter a stage."""
        self.stage = stage


def study_folder(experiment: Experiment, storage: Path) -> Path:
    """Where the study lies."""
    return storage / experiment.name


def check_storage(storage: str) -> Path:
    """The storage as a folder that can be written to; raises ``InputError`` where it is none."""
    if "://" in storage:
        raise InputError(
            f"--storage {storage}: must be a folder that all nodes share (local disk, NFS, EFS, Filestore)"
        )
    folder = Path(storage).expanduser()
    existing = nearest_existing(folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"--storage {storage}: {existing} cannot be written to; choose another folder or its rights")
    return folder


def capacity_before_start(address: str) -> Capacity | None:
    """What is there before any cluster is asked; ``None`` where only the cluster can tell."""
    return local_capacity() if is_local(address) else None


def run_study(
    experiment: Experiment,
    storage: Path,
    *,
    address: str,
    progress: Progress,
    trackers: Callable[[Path], Sequence[Tracker]] = lambda folder: (),
    at_end: Callable[[Path], None] = lambda folder: None,
) -> Ledger:
    """Run what is left of the study; the same call again goes on where it stood.

    ``trackers`` makes those that follow the study in a folder; ``at_end`` is called on the folder when all is scored.
    Raises ``InputError`` for what cannot be run, ``LeaseHeld`` where another launcher runs it.
    """
    with _open_study(experiment, storage, address, progress) as (folder, text, capacity):
        at_once = capacity.at_once(experiment.compute, num_configurations(experiment))
        ledger = progress.ledger = Ledger.open(folder)
        progress.total, progress.at_once = num_configurations(experiment) * len(experiment.seeds), at_once
        with _followed(trackers(folder)):
            score_runs(experiment, text, folder)
            prepared = _models(experiment, folder, text, progress)
            progress.say("distilling")
            _sweep(experiment, prepared, ledger, at_once)
            progress.say("scoring what is new")
            rescore(experiment, prepared, ledger)
            add_baselines(experiment, text, prepared, folder, progress.say)
            _keep(experiment, ledger)
            progress.say("reporting")
            at_end(folder)
    return ledger


def prepare_study(experiment: Experiment, storage: Path, *, address: str, progress: Progress) -> None:
    """Make all that trials share, and no trial. Raises as ``run_study`` does."""
    with _open_study(experiment, storage, address, progress) as (folder, text, _):
        _models(experiment, folder, text, progress)


@contextmanager
def _open_study(
    experiment: Experiment, storage: Path, address: str, progress: Progress
) -> Iterator[tuple[Path, Text, Capacity]]:
    """Check all that can be checked, then take the study's lease and connect to its cluster."""
    folder = study_folder(experiment, storage)
    check_unchanged(experiment, folder)
    capacity = capacity_before_start(address)
    if capacity is not None:
        capacity.at_once(experiment.compute, num_configurations(experiment))
    text = prepare_text(experiment, storage, progress.say)
    check_baselines(experiment, text)
    progress.data = text.report
    folder.mkdir(parents=True, exist_ok=True)
    with Lease(folder):
        progress.say("starting Ray")
        with cluster(address) as found:
            found.at_once(experiment.compute, num_configurations(experiment))
            if found.waits(experiment.compute):
                progress.say("no node has room yet: the autoscaler starts some when the first worker asks")
            describe(experiment, folder, text)
            yield folder, text, found


def _models(experiment: Experiment, folder: Path, text: Text, progress: Progress) -> Prepared:
    workers = workers_of(experiment.compute)

    def run(loop: Any, job: Any, name: str) -> None:
        last = fit(loop, job, name=name, folder=folder / "train", workers=workers)
        if "failed" in last:
            raise InputError(f"trial.teacher_training: {last['failed']}; a lower learning_rate may do")
        shutil.rmtree(folder / "train" / name, ignore_errors=True)

    return prepare_models(experiment, folder, text, run, progress.say)


def _sweep(experiment: Experiment, prepared: Prepared, ledger: Ledger, at_once: int) -> None:
    """Run every configuration that the budget still has."""
    unfinished, known = _configurations(experiment, prepared, ledger)
    left = num_configurations(experiment) - len(known)
    proposals = Proposals(experiment, left, [*unfinished, *first_ones(experiment)], known=len(known))
    for params, score in known:
        proposals.learn(params, score)
    if left <= 0:
        return
    launch = folder_for_launch(ledger.folder)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(
                run_configuration,
                train_folder=(ledger.folder / "train").resolve(),
                workers=workers_of(experiment.compute),
            ),
            {"CPU": DRIVER_CPUS},
        ),
        tune_config=tune.TuneConfig(
            search_alg=LedgerSearcher(experiment, prepared, ledger, proposals),
            scheduler=_scheduler(experiment),
            num_samples=left,
            max_concurrent_trials=at_once,
        ),
        run_config=tune.RunConfig(
            name=launch.name,
            storage_path=str(launch.parent.resolve()),
            callbacks=[
                LedgerCallback(ledger, experiment.compute.max_attempts, lambda key: _clear(experiment, ledger, key))
            ],
            failure_config=tune.FailureConfig(max_failures=experiment.compute.max_attempts - 1),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(launch, ignore_errors=True)


def folder_for_launch(study: Path) -> Path:
    """Ray Tune's own files of one launch; nothing of them is needed afterwards."""
    return study / "tune" / time.strftime("%Y%m%d-%H%M%S")


def _configurations(
    experiment: Experiment, prepared: Prepared, ledger: Ledger
) -> tuple[list[Params], list[tuple[Params, float | None]]]:
    """The ledger's configurations: those with a trial left to run (or a seed that was added), and the finished ones."""
    unfinished: list[Params] = []
    finished: list[tuple[Params, float | None]] = []
    for params in {identity(record.params): dict(record.params) for record in ledger.records}.values():
        keys = register(experiment, prepared, ledger, params)
        if any(runnable(ledger, key, experiment.compute.max_attempts) for key in keys):
            unfinished.append(params)
        else:
            finished.append((params, score_of(experiment, ledger, keys)))
    return unfinished, finished


def _scheduler(experiment: Experiment) -> FIFOScheduler:
    asha = experiment.search.scheduler
    if asha is None:
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="step",
        metric="objective",
        mode="max",
        grace_period=asha.grace,
        reduction_factor=asha.reduction_factor,
        max_t=experiment.trial.optimizer.steps + 1,  # at max_t itself a trial would be stopped before its last report
    )


def _clear(experiment: Experiment, ledger: Ledger, key: str) -> None:
    """A complete trial needs its training state no more."""
    shutil.rmtree(ledger.folder / "train" / key, ignore_errors=True)
    _keep(experiment, ledger)


def _keep(experiment: Experiment, ledger: Ledger) -> None:
    """Where only the best students stay, remove the weights of those that are best for no target."""
    if experiment.compute.keep != "best":
        return
    best = {best_of(ledger, experiment.search.objective, target) for target in experiment.targets}
    kept = {one.key for one in best if one is not None}
    for record in ledger.records:
        if record.state is TrialState.COMPLETE and record.key not in kept:
            shutil.rmtree(ledger.trial_folder(record.key) / "student", ignore_errors=True)


@contextmanager
def _followed(trackers: Sequence[Tracker]) -> Iterator[None]:
    """Let trackers follow the ledger while the block runs."""
    for tracker in trackers:
        tracker.sync()
    try:
        yield
    finally:
        for tracker in trackers:
            tracker.close(timeout=20)
