"""The verbs that take a SPEC: plan, prepare, run."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from optical_ray.cli.plan_lines import plan_lines
from optical_ray.cli.progress import Watch
from optical_ray.cli.tables import BEST, SUPERVISED, best_lines, score_table
from optical_ray.cli.terminal import chatter_to, console
from optical_ray.config.experiment import Experiment
from optical_ray.config.load import load
from optical_ray.report.data_lines import data_lines
from optical_ray.report.write import write_report
from optical_ray.study.records import Ledger, TrialState
from optical_ray.study.summary import unconverged_lines
from optical_ray.sweep.cluster import cluster
from optical_ray.sweep.description import check_unchanged
from optical_ray.sweep.study import (
    Progress,
    capacity_before_start,
    check_storage,
    run_study,
    study_folder,
)
from optical_ray.sweep.study import (
    prepare_study as prepare_models_of,
)
from optical_ray.tracking.background import missing_results
from optical_ray.tracking.configs import open_trackers
from optical_ray.tracking.interface import Tracker
from optical_ray.types import InputError


def show_plan(spec: Path, storage: str, settings: list[str], address: str) -> None:
    """Print what a run of ``spec`` would do."""
    experiment = load(spec, settings)
    folder = study_folder(experiment, check_storage(storage))
    check_unchanged(experiment, folder)
    capacity = capacity_before_start(address)
    if capacity is None:
        with cluster(address) as found:
            capacity = found
    for line in plan_lines(experiment, folder, capacity):
        console().print(line, soft_wrap=True)


def prepare_study(spec: Path, storage: str, settings: list[str], address: str) -> None:
    """Make what trials share, and say what was read."""
    experiment = load(spec, settings)
    folder = study_folder(experiment, check_storage(storage))
    progress = Progress()
    with chatter_to(_log(folder)) as screen, Watch(screen, experiment, progress):
        prepare_models_of(experiment, Path(storage).expanduser(), address=address, progress=progress)
    _say_data(console(), experiment, progress)
    console().print(f"prepared in {folder}; next: optical-ray run {shlex.quote(str(spec))}", soft_wrap=True)


def run_or_resume(spec: Path, storage: str, settings: list[str], address: str) -> int:
    """Run the study; returns how many of its trials have failed."""
    experiment = load(spec, settings)
    folder = study_folder(experiment, check_storage(storage))
    progress = Progress()
    trackers: list[Tracker] = []

    def follow(folder: Path) -> list[Tracker]:
        trackers.extend(open_trackers(experiment.tracking, folder))
        return trackers

    with chatter_to(_log(folder)) as screen, Watch(screen, experiment, progress):
        ledger = run_study(
            experiment,
            Path(storage).expanduser(),
            address=address,
            progress=progress,
            trackers=follow,
            at_end=_write_report,
        )
    screen = console()
    _say_data(screen, experiment, progress)
    for tracker in trackers:
        if line := missing_results(tracker):
            screen.print(line, soft_wrap=True, markup=False)
    return _say_result(screen, experiment, ledger)


def _write_report(folder: Path) -> None:
    """The study's page; a study without a complete trial has none yet."""
    with suppress(InputError):
        write_report(folder)


def _say_result(screen: Console, experiment: Experiment, ledger: Ledger) -> int:
    """The table, the best of each target, what failed, and where to look next."""
    metric, targets = experiment.search.objective, experiment.targets
    screen.print()
    screen.print(score_table(ledger, metric, targets))
    screen.print(
        f"[note]{BEST} chosen on the eval split   "
        f"{SUPERVISED} the target is among the sources: supervision, not transfer[/note]"
    )
    screen.print()
    for line in best_lines(ledger, metric, targets):
        screen.print(line, soft_wrap=True)
    failed = [record for record in ledger.records if record.state is TrialState.FAIL]
    for record in failed:
        again = "; run again to retry" if record.retryable else ""
        screen.print(f"trial {record.key} failed: {record.error}{again}", soft_wrap=True, markup=False)
    for name, reason in ledger.failed_baselines().items():
        screen.print(f"baseline {name} failed: {reason}; run again to retry", soft_wrap=True, markup=False)
    for line in unconverged_lines(ledger):
        screen.print(line, soft_wrap=True)
    where = shlex.quote(str(ledger.folder))
    screen.print()
    screen.print(f"MLflow:  optical-ray ui {where}", soft_wrap=True)
    screen.print(f"Report:  optical-ray report {where}", soft_wrap=True)
    return len(failed)


def _say_data(screen: Console, experiment: Experiment, progress: Progress) -> None:
    for line in data_lines(progress.data, experiment.trial.data.leaks):
        screen.print(line, soft_wrap=True, markup=False)


def _log(folder: Path) -> Path:
    return folder.parent / "logs" / f"{folder.name}.log"
