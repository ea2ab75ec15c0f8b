"""The lines that ``plan`` prints about a study before anything runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from optical_ray.config.baselines import Control
from optical_ray.config.duplicate_points import duplicate_points
from optical_ray.config.experiment import Experiment
from optical_ray.config.space import Subset
from optical_ray.study.files import nearest_existing
from optical_ray.study.layout import StudyFolder
from optical_ray.study.records import Ledger
from optical_ray.study.summary import seconds_left
from optical_ray.sweep.cluster import Capacity
from optical_ray.sweep.proposals import initial_configurations, num_configurations

MAX_DUPLICATES = 4
"""The number of printed pairs of equal settings."""


def plan_lines(experiment: Experiment, folder: Path, capacity: Capacity) -> list[str]:
    """Return the plan as lines of text; raises ``InputError`` if a trial does not fit on the cluster."""
    configurations, seeds = num_configurations(experiment), len(experiment.seeds)
    num_concurrent = capacity.num_concurrent(experiment.compute, configurations)
    compute, steps = experiment.compute, experiment.trial.optimizer.steps
    lines = [
        f"study        {experiment.name} in {folder}",
        f"targets      {', '.join(experiment.targets)}; {', '.join(experiment.evaluation.metrics)}",
        f"trials       {configurations} configurations x {seeds} seed{'s' * (seeds > 1)} "
        f"({experiment.search.mode}), {steps} steps of {experiment.trial.data.batch_size} pairs each",
        *([_controls(experiment)] if control_names(experiment) else []),
        *(
            f"space        {path}: {dimension.model_dump(exclude_defaults=True)}"
            for path, dimension in experiment.space.items()
        ),
        *(f"design       {line}" for line in _designs(experiment)),
        *(f"duplicates   {line}" for line in _duplicates(experiment)),
        f"first        {'; '.join(_params(params) for params in initial_configurations(experiment)[:8]) or '-'}",
        f"resources    {num_concurrent} trial{'s' * (num_concurrent > 1)} at once, each {compute.num_workers} worker"
        f"{'s' * (compute.num_workers > 1)} x {compute.cpus_per_worker} CPU, {compute.gpus_per_worker:g} GPU "
        f"(available: {capacity.cpus:g} CPUs, {capacity.gpus:g} GPUs)",
        f"disk         {_free(folder)} free; weights kept: {compute.keep}",
    ]
    left = None
    if StudyFolder(folder).info.is_file():
        ledger = Ledger.open(folder)
        done = sum(record.state.is_finished for record in ledger.records)
        lines.append(f"so far       {done} of {configurations * seeds} trials finished")
        info = replace(ledger.info, num_trials=configurations * seeds, num_concurrent=num_concurrent)
        left = seconds_left(ledger, info)
    lines.append(
        "time         " + ("unknown before the first trial" if left is None else f"about {left / 60:.0f} min left")
    )
    return lines


def _duplicates(experiment: Experiment) -> list[str]:
    """Describe pairs of settings that train the same student; the last line counts the pairs that are not shown."""
    pairs = list(duplicate_points(experiment))
    lines = []
    for pair in pairs[:MAX_DUPLICATES]:
        where = "".join(f", {path} {low:g} to {high:g}" for path, (low, high) in pair.ranges.items())
        lines.append(
            f"{{{_values(pair.first)}}} and {{{_values(pair.second)}}} are the same alignment problem{where}. "
            "Remove one of them."
        )
    more = len(pairs) - len(lines)
    return [*lines, *([f"... and {more} more pairs"] if more else [])]


def _values(setting: Mapping[str, object]) -> str:
    """``loss.cost: cosine, loss.solver.epsilon: 0.02..0.5``."""
    shown = {path: f"{v[0]:g}..{v[1]:g}" if isinstance(v, tuple) else v for path, v in setting.items()}
    return ", ".join(f"{path}: {str(value)[:80]}" for path, value in shown.items())


def _designs(experiment: Experiment) -> Iterator[str]:
    """Yield the size of every complete lattice of an ``estimate`` study, and smaller balanced designs."""
    if experiment.search.mode != "estimate":
        return
    students = num_configurations(experiment) * len(experiment.seeds)
    for path, dimension in experiment.space.items():
        if not isinstance(dimension, Subset) or dimension.design != "lattice":
            continue
        sets = len(dimension.grid())
        offers = []
        for changed in ({"design": "leave_one_out"}, {"design": "orders", "orders": len(dimension.of) // 2 or 1}):
            try:
                smaller = len(Subset.model_validate({**dimension.model_dump(), **changed}).grid())
            except ValidationError:  # the design has no set of these sizes
                continue
            if smaller < sets:
                settings = ", ".join(f"{name}: {value}" for name, value in changed.items())
                offers.append(f"{{{settings}}} with {smaller} sets, {students * smaller // sets} students")
        yield f"{path}: {sets} sets, {students} students" + (f"; or {', or '.join(offers)}" if offers else "")


def _params(params: Mapping[str, object]) -> str:
    return ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in params.items())


def _free(folder: Path) -> str:
    return f"{shutil.disk_usage(nearest_existing(folder)).free / 1e9:.0f} GB"


def control_names(experiment: Experiment) -> list[str]:
    """Return the names of the baselines that train students."""
    return [name for name, baseline in experiment.baselines.items() if isinstance(baseline, Control)]


def _controls(experiment: Experiment) -> str:
    names, seeds = control_names(experiment), len(experiment.seeds)
    return f"controls     {', '.join(names)}: {len(names) * seeds} additional students"
