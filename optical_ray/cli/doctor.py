"""The verb ``doctor``: versions, hardware, disk and, of a study, its launcher and trackers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

PACKAGES = ("ray", "torch", "transformers", "POT", "optuna", "mlflow", "pytrec-eval-terrier", "pyarrow")
SHARED_MEMORY = Path("/dev/shm")
GIGABYTE = 1e9
MIN_SHARED_MEMORY, MIN_DISK = 1 * GIGABYTE, 5 * GIGABYTE
"""Less free space, in bytes, is reported as a problem."""


@dataclass(frozen=True)
class Finding:
    """A subject, its state, and what to do if the state is a problem."""

    subject: str
    state: str
    remedy: str = ""


def command(
    study_dir: Annotated[
        Path | None, typer.Argument(metavar="STUDY_DIR", help="A study's folder.", show_default=False)
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Remove the lease of a dead launcher.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Check versions, hardware, disk and, of a study, its launcher and trackers."""
    from rich.table import Table

    from optical_ray.cli.screen.terminal import console

    if study_dir is not None and fix:
        _remove_lease(study_dir)
    findings = [*_machine(), *(_study(study_dir) if study_dir else _folder(Path("runs")))]
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        table.add_row("[red]x[/red]" if finding.remedy else "[green]ok[/green]", finding.subject, finding.state)
        if finding.remedy:
            table.add_row("", "", f"[note]{finding.remedy}[/note]")
    console().print(table)
    if any(finding.remedy for finding in findings):
        raise typer.Exit(1)


def _machine() -> Iterator[Finding]:
    import torch

    for name in ("optical-ray", *PACKAGES):
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "not installed", "Install it: pip install optical-ray.")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    yield Finding("GPUs", ", ".join(gpus) or "no GPU: studies run on the CPU")
    yield Finding("CPUs", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()))
    if SHARED_MEMORY.is_dir():
        free = shutil.disk_usage(SHARED_MEMORY).free
        remedy = "Ray keeps objects there. Start the container with --shm-size=2g." if free < MIN_SHARED_MEMORY else ""
        yield Finding(str(SHARED_MEMORY), f"{free / GIGABYTE:.1f} GB free", remedy)


def _folder(storage: Path) -> Iterator[Finding]:
    from optical_ray.study.files import nearest_existing

    existing = nearest_existing(storage)
    writable = os.access(existing, os.W_OK | os.X_OK)
    yield Finding(
        "storage", str(storage), "" if writable else "It cannot be written to. Choose another with --storage."
    )
    usage = shutil.disk_usage(existing)
    remedy = "Students, checkpoints and caches are stored there. Make room." if usage.free < MIN_DISK else ""
    yield Finding("disk", f"{usage.free / GIGABYTE:.0f} of {usage.total / GIGABYTE:.0f} GB free", remedy)


def _study(folder: Path) -> Iterator[Finding]:
    from optical_ray.study.lease import holder_of
    from optical_ray.study.records import Ledger, TrialState
    from optical_ray.tracking.configs import configs_of

    ledger = Ledger.open(folder)
    yield from _folder(folder.absolute().parent)
    holder = holder_of(folder)
    running = sum(record.state is TrialState.RUNNING for record in ledger.records)
    if holder is None:
        yield Finding("launcher", f"not running; {running} trials were interrupted" if running else "not running")
    else:
        state = f"{holder.host} pid {holder.pid}, last heartbeat {holder.age:.0f} s ago"
        remedy = "It has died. Run the study again to resume, or remove its lease with --fix."
        yield Finding("launcher", state, "" if holder.is_alive else remedy)
    for reason in ledger.damaged.values():
        yield Finding("trial", reason, "The study goes on without it. Remove its folder to run the trial again.")
    for config in configs_of(ledger.info):
        tracker = config.open(folder)
        problem = tracker.problem()
        if problem is None:
            yield Finding(tracker.name, tracker.destination)
        else:
            yield Finding(tracker.name, problem.reason, f"{problem.remedy}. The study's folder holds all results.")


def _remove_lease(folder: Path) -> None:
    """Remove a dead launcher's lease, and mark as ended in the trackers what it left running."""
    from optical_ray.cli.screen.terminal import console
    from optical_ray.study.info import StudyInfo
    from optical_ray.study.lease import Lease, LeaseHeld
    from optical_ray.tracking.configs import close_trackers, configs_of
    from optical_ray.types import InputError

    configs = configs_of(StudyInfo.read(folder))
    try:
        with Lease(folder):
            for failure in close_trackers(configs, folder, timeout=30):
                console().print(failure, soft_wrap=True, markup=False)
    except LeaseHeld as error:
        raise LeaseHeld(f"{error} There is nothing to fix.") from error
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}. --fix needs a writable folder.") from error
