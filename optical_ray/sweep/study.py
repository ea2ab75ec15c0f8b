"""Run a study, or resume it: lease, ledger, searcher, trials, trackers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from optical_ray.config.experiment import Experiment
from optical_ray.config.space import Params
from optical_ray.prepare.baselines import check_baselines, score_runs
from optical_ray.prepare.study import prepare_models
from optical_ray.prepare.text import prepare_text
from optical_ray.study.events import EVENT, Failed, from_report
from optical_ray.study.files import nearest_existing
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import StorageFolder
from optical_ray.study.lease import Lease
from optical_ray.study.records import Ledger, TrialState, configuration_id
from optical_ray.study.summary import best_of
from optical_ray.sweep.baselines import add_baselines
from optical_ray.sweep.cluster import DRIVER_CPUS, Capacity, cluster, is_local, local_capacity, workers_of
from optical_ray.sweep.description import check_unchanged, describe
from optical_ray.sweep.observer import Observer
from optical_ray.sweep.open_study import OpenStudy
from optical_ray.sweep.proposals import Proposals, initial_configurations, num_configurations
from optical_ray.sweep.rescore import rescore
from optical_ray.sweep.search import LedgerCallback, LedgerSearcher
from optical_ray.sweep.trial import run_configuration
from optical_ray.tracking.background import missing_results
from optical_ray.tracking.configs import open_trackers
from optical_ray.tracking.interface import Tracker
from optical_ray.training.driver import fit
from optical_ray.types import InputError


@dataclass(frozen=True)
class StudyResult:
    """How a launch ended.

    ``unscored`` are the complete trials that lack scores and whose weights were not kept; ``notices`` are messages of
    trackers that could not be brought up to date.
    """

    ledger: Ledger
    unscored: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def check_storage(storage: str) -> Path:
    """The storage as a folder that can be written to; raises ``InputError`` if it is not."""
    if "://" in storage:
        raise InputError(
            f"--storage {storage}: not a folder. Give one that all nodes share (local disk, NFS, EFS, Filestore)."
        )
    folder = Path(storage).expanduser()
    existing = nearest_existing(folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"--storage {storage}: {existing} cannot be written to. Choose another folder, or change its permissions."
        )
    return folder


def capacity_before_start(address: str) -> Capacity | None:
    """The capacity of this machine; None if only the cluster at ``address`` can tell."""
    return local_capacity() if is_local(address) else None


def run_study(
    experiment: Experiment, storage: Path, *, address: str = "auto", observer: Observer | None = None
) -> StudyResult:
    """Run the rest of the study's budget; after an interruption, the same call resumes it.

    ``address`` is that of a Ray cluster: ``auto`` (``RAY_ADDRESS`` if it is set, else a cluster on this machine),
    ``local`` or ``host:port``. ``observer`` is told how the launch proceeds. Raises ``InputError`` for a study that
    cannot be run and ``LeaseHeld`` if another launcher runs it.
    """
    observer = observer or Observer()
    with _open_study(experiment, storage, address, observer) as study:
        with _followed(experiment, study.ledger.folder) as trackers:
            score_runs(experiment, study.preparation, study.ledger.folder)
            _make_models(study, observer)
            observer.on_stage("distilling")
            _sweep(study)
            observer.on_stage("scoring new targets and metrics")
            unscored = rescore(study)
            add_baselines(study, observer.on_stage)
            _remove_weights(study)
            observer.on_stage("reporting")
            observer.on_scored(study.ledger.folder)
        notices = tuple(notice for tracker in trackers if (notice := missing_results(tracker)))
    return StudyResult(study.ledger, unscored, notices)


def prepare_study(
    experiment: Experiment, storage: Path, *, address: str = "auto", observer: Observer | None = None
) -> None:
    """Make what all trials share, and no trial. Raises as ``run_study`` does."""
    observer = observer or Observer()
    with _open_study(experiment, storage, address, observer) as study:
        _make_models(study, observer)


@contextmanager
def _open_study(experiment: Experiment, storage: Path, address: str, observer: Observer) -> Iterator[OpenStudy]:
    """Check all that can be checked before, then take the study's lease and connect to the cluster."""
    folder = StorageFolder(storage).study(experiment.name).path
    check_unchanged(experiment, folder)
    capacity = capacity_before_start(address)
    if capacity is not None:
        capacity.num_concurrent(experiment.compute, num_configurations(experiment))
    preparation = prepare_text(experiment, storage, observer.on_stage)
    check_baselines(experiment, preparation)
    observer.on_data(preparation.report)
    folder.mkdir(parents=True, exist_ok=True)
    with Lease(folder):
        observer.on_stage("starting Ray")
        with cluster(address) as capacity:
            num_concurrent = capacity.num_concurrent(experiment.compute, num_configurations(experiment))
            if capacity.waits(experiment.compute):
                observer.on_stage("waiting for nodes: the autoscaler starts some when the first worker asks")
            info = describe(experiment, folder, preparation, num_concurrent)
            study = OpenStudy(experiment, preparation, Ledger.open(folder))
            observer.on_open(study.ledger, info)
            yield study


def _make_models(study: OpenStudy, observer: Observer) -> None:
    experiment, train = study.experiment, study.layout.train
    workers = workers_of(experiment.compute)

    def run(loop: Any, job: Any, name: str) -> None:
        last = fit(loop, job, name=name, folder=train, workers=workers)
        if EVENT in last and isinstance(event := from_report(last), Failed):
            raise InputError(f"trial.teacher_training: {event.reason}. Lower its learning_rate.")
        shutil.rmtree(train / name, ignore_errors=True)

    prepare_models(experiment, study.ledger.folder, study.preparation, run, observer.on_stage)


def _sweep(study: OpenStudy) -> None:
    """Run the configurations that are left in the budget."""
    experiment, ledger = study.experiment, study.ledger
    unfinished, finished = _configurations(study)
    num_left = num_configurations(experiment) - len(finished)
    waiting = [*unfinished, *initial_configurations(experiment)]
    proposals = Proposals(experiment, num_left, waiting, known=len(finished))
    for params, score in finished:
        proposals.learn(params, score)
    if num_left <= 0:
        return
    launch = study.layout.tune / time.strftime("%Y%m%d-%H%M%S")
    max_attempts = experiment.compute.max_attempts
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(
                run_configuration, train_folder=study.layout.train.resolve(), workers=workers_of(experiment.compute)
            ),
            {"CPU": DRIVER_CPUS},
        ),
        tune_config=tune.TuneConfig(
            search_alg=LedgerSearcher(study, proposals),
            scheduler=_scheduler(experiment),
            num_samples=num_left,
            max_concurrent_trials=StudyInfo.read(ledger.folder).num_concurrent,
        ),
        run_config=tune.RunConfig(
            name=launch.name,
            storage_path=str(launch.parent.resolve()),
            callbacks=[LedgerCallback(ledger, max_attempts, lambda key: _clear(study, key))],
            failure_config=tune.FailureConfig(max_failures=max_attempts - 1),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(launch, ignore_errors=True)


def _configurations(study: OpenStudy) -> tuple[list[Params], list[tuple[Params, float | None]]]:
    """The ledger's configurations: those with a trial left to run (or a new seed), and the finished ones."""
    unfinished: list[Params] = []
    finished: list[tuple[Params, float | None]] = []
    for params in {configuration_id(r.params): dict(r.params) for r in study.ledger.records}.values():
        configuration = study.configuration(params)
        if any(map(study.is_runnable, configuration.keys.values())):
            unfinished.append(params)
        else:
            finished.append((params, study.score(configuration)))
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


def _clear(study: OpenStudy, key: str) -> None:
    """Remove the training state of a complete trial."""
    shutil.rmtree(study.layout.train / key, ignore_errors=True)
    _remove_weights(study)


def _remove_weights(study: OpenStudy) -> None:
    """With ``compute.keep: best``, remove the weights of the students that are best for no target."""
    experiment, ledger = study.experiment, study.ledger
    if experiment.compute.keep != "best":
        return
    best = [best_of(ledger, experiment.search.objective, target) for target in experiment.targets]
    kept = {one.key for one in best if one is not None}
    for record in ledger.records:
        if record.state is TrialState.COMPLETE and record.key not in kept:
            shutil.rmtree(study.layout.trial(record.key).student, ignore_errors=True)


@contextmanager
def _followed(experiment: Experiment, folder: Path) -> Iterator[Sequence[Tracker]]:
    """Open the spec's trackers; they follow the ledger while the block runs."""
    trackers = open_trackers(experiment.tracking, folder)
    for tracker in trackers:
        tracker.sync()
    try:
        yield trackers
    finally:
        for tracker in trackers:
            tracker.close(timeout=20)
