"""The verb that looks at what a study stands on: versions, hardware, disk, MLflow, a launcher that has died."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table

from optical_ray.cli.terminal import console
from optical_ray.study.files import nearest_existing
from optical_ray.study.info import StudyInfo
from optical_ray.study.lease import Lease, LeaseHeld, holder_of
from optical_ray.study.records import Ledger, TrialState
from optical_ray.tracking.configs import close_trackers, configs_of
from optical_ray.types import InputError

PACKAGES = ("ray", "torch", "transformers", "POT", "optuna", "mlflow", "pytrec-eval-terrier", "pyarrow")
SHARED_MEMORY, DISK = Path("/dev/shm"), 5e9
GIGABYTE = 1e9


@dataclass(frozen=True)
class Finding:
    """What was looked at and found; ``mend`` says what to do where it is not well."""

    subject: str
    found: str
    mend: str = ""


def show_health(study_dir: Path | None, *, fix: bool) -> int:
    """Print what is found; returns how much of it is not well. ``fix``: let go of what a dead launcher held."""
    if study_dir is not None and fix:
        _let_go(study_dir)
    findings = [*_machine(), *(_study(study_dir) if study_dir else _folder(Path("runs")))]
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        table.add_row("[red]x[/red]" if finding.mend else "[green]ok[/green]", finding.subject, finding.found)
        if finding.mend:
            table.add_row("", "", f"[note]{finding.mend}[/note]")
    console().print(table)
    return sum(bool(finding.mend) for finding in findings)


def _machine() -> Iterator[Finding]:
    import torch

    for name in ("optical-ray", *PACKAGES):
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "not installed", "pip install optical-ray brings it")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    yield Finding("GPUs", ", ".join(gpus) or "none: studies run on the CPU")
    yield Finding("CPUs", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()))
    if SHARED_MEMORY.is_dir():
        free = shutil.disk_usage(SHARED_MEMORY).free / GIGABYTE
        small = "Ray keeps objects there: start the container with --shm-size=2g" if free < 1 else ""
        yield Finding(str(SHARED_MEMORY), f"{free:.1f} GB free", small)


def _folder(storage: Path) -> Iterator[Finding]:
    existing = nearest_existing(storage)
    writable = os.access(existing, os.W_OK | os.X_OK)
    yield Finding("storage", str(storage), "" if writable else "it cannot be written to: choose another with --storage")
    usage = shutil.disk_usage(existing)
    low = "students, checkpoints and caches go there: make room" if usage.free < DISK else ""
    yield Finding("disk", f"{usage.free / GIGABYTE:.0f} of {usage.total / GIGABYTE:.0f} GB free", low)


def _study(folder: Path) -> Iterator[Finding]:
    ledger = Ledger.open(folder)
    yield from _folder(folder.absolute().parent)
    holder = holder_of(folder)
    running = sum(record.state is TrialState.RUNNING for record in ledger.records)
    if holder is None:
        idle = f"none; {running} trials were interrupted" if running else "none"
        yield Finding("launcher", idle)
    else:
        dead = "" if holder.is_alive else "it is dead: run the study again to go on, or let go of it with --fix"
        yield Finding("launcher", f"{holder.host} pid {holder.pid}, last seen {holder.age:.0f} s ago", dead)
    for config in configs_of(StudyInfo.read(folder)):
        tracker = config.open(folder)
        problem = tracker.problem()
        if problem is None:
            yield Finding(tracker.name, tracker.destination)
        else:
            yield Finding(tracker.name, problem.reason, f"{problem.remedy}. The study's folder holds all results.")


def _let_go(folder: Path) -> None:
    """Remove a dead launcher's lease, and end in MLflow what it left running."""
    configs = configs_of(StudyInfo.read(folder))
    try:
        with Lease(folder):
            for failure in close_trackers(configs, folder, timeout=30):
                console().print(failure, soft_wrap=True, markup=False)
    except LeaseHeld as error:
        raise LeaseHeld(f"{error}; there is nothing to fix") from error
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}; it must be writable for --fix") from error
