"""The verb ``run``: run a study, or resume it."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from optical_ray.cli.options import Address, Settings, Spec, Storage

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from optical_ray.config.experiment import Experiment
    from optical_ray.sweep.study import StudyResult


def command(spec: Spec, storage: Storage = "runs", set_: Settings = None, address: Address = "auto") -> None:
    """Run the study, or resume it; ends with the MAP table."""
    from optical_ray.cli.screen.progress import Watch
    from optical_ray.cli.screen.terminal import console, redirect_output
    from optical_ray.config.load import load
    from optical_ray.study.layout import StorageFolder
    from optical_ray.sweep.study import check_storage, run_study

    experiment = load(spec, set_ or [])
    folder = StorageFolder(check_storage(storage))
    with redirect_output(folder.log(experiment.name)) as screen, Watch(screen, experiment, _write_report) as watch:
        result = run_study(experiment, folder.path, address=address, observer=watch)
    screen = console()
    watch.print_data(screen)
    for notice in result.notices:
        screen.print(notice, soft_wrap=True, markup=False)
    if _print_result(screen, experiment, result):
        raise typer.Exit(1)


def _write_report(folder: Path) -> None:
    """Write the study's report, unless no trial is complete."""
    from optical_ray.report.write import write_report
    from optical_ray.types import InputError

    with suppress(InputError):
        write_report(folder)


def _print_result(screen: Console, experiment: Experiment, result: StudyResult) -> bool:
    """Print the table, the best of each target, what failed, and where to look next.

    Returns whether anything of the study's budget is missing.
    """
    from optical_ray.cli.screen.tables import BEST, SUPERVISED, best_lines, score_table
    from optical_ray.study.records import TrialState
    from optical_ray.study.summary import unconverged_messages

    ledger, metric, targets = result.ledger, experiment.search.objective, experiment.targets
    screen.print()
    screen.print(score_table(ledger, metric, targets))
    screen.print(
        f"[note]{BEST} chosen on the eval split   "
        f"{SUPERVISED} the target's language is a source: supervision, not transfer[/note]"
    )
    screen.print()
    for line in best_lines(ledger, metric, targets):
        screen.print(line, soft_wrap=True)
    failed = [record for record in ledger.records if record.state is TrialState.FAIL]
    waiting = [record for record in ledger.records if not record.state.is_finished]
    for record in failed:
        hint = " Run again to retry." if record.retryable else ""
        screen.print(f"trial {record.key} failed: {record.error}.{hint}", soft_wrap=True, markup=False)
    if waiting:
        keys = ", ".join(record.key for record in waiting[:5]) + (", ..." if len(waiting) > 5 else "")
        screen.print(f"{len(waiting)} trials did not run ({keys}). Run again to retry.", soft_wrap=True, markup=False)
    failed_baselines = ledger.failed_baselines()
    for name, reason in failed_baselines.items():
        screen.print(f"baseline {name} failed: {reason}. Run again to retry.", soft_wrap=True, markup=False)
    if result.unscored:
        keys = ", ".join(result.unscored[:5]) + (", ..." if len(result.unscored) > 5 else "")
        screen.print(
            f"{len(result.unscored)} trials lack scores, because their weights were not kept ({keys}). Set "
            "compute.keep: all and run these configurations in a new study.",
            soft_wrap=True,
            markup=False,
        )
    for line in unconverged_messages(ledger):
        screen.print(line, soft_wrap=True)
    where = shlex.quote(str(ledger.folder))
    screen.print()
    screen.print(f"MLflow:  optical-ray ui {where}", soft_wrap=True)
    screen.print(f"Report:  optical-ray report {where}", soft_wrap=True)
    return bool(failed or waiting or failed_baselines or result.unscored)
