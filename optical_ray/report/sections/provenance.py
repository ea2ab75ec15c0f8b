"""The chapters on data, trials and provenance: compute, versions, digests, licences and the spec."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import yaml

from optical_ray.report.data_lines import data_lines
from optical_ray.report.page import Section
from optical_ray.report.study import TEST, Study
from optical_ray.report.tables import Column, Table, Value
from optical_ray.study.records import Ledger, TrialRecord

LONGEST = 400
"""The page shows this many characters of a manifest."""


def trials_section(study: Study, ledger: Ledger) -> Section:
    """Return all trials with their means, and those left out with the reason."""
    counted = ", ".join(f"{count} {state}" for state, count in sorted(study.states.items()))
    text = [f"{counted}. The numbers rest on {sum(len(system.keys) for system in study.systems)} trials."]
    if study.excluded:
        text.append(f"{len(study.excluded)} trials are left out; the reasons are below.")
    tables = (_excluded_table(study),) if study.excluded else ()
    return Section("trials", "Trials", tuple(text), tables=tables, folded=(_trials_table(study, ledger),))


def _excluded_table(study: Study) -> Table:
    columns = (
        Column("trial", "Trial"), Column("number", "No.", 0), Column("source_set", "Source set"),
        Column("seed", "seed", 0), Column("state", "State"), Column("reason", "Reason", wrap=True),
    )  # fmt: skip
    rows = tuple(
        (trial.key, trial.number, trial.label, trial.seed, trial.state, last_line(trial.reason))
        for trial in study.excluded
    )
    return Table("excluded", "Trials that are left out, with the reasons.", columns, rows)


def last_line(text: str, limit: int = 300) -> str:
    """Return the last line of an error, which states what happened."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return (lines[-1] if lines else "")[:limit]


def _trials_table(study: Study, ledger: Ledger) -> Table:
    names = sorted({name for record in ledger.records for name in record.params})
    columns = [
        Column("trial", "Trial"),
        Column("number", "No.", 0),
        Column("state", "State"),
        Column("seed", "seed", 0),
    ]
    columns += [Column(name, name.rsplit(".", 1)[-1]) for name in names]
    columns += [Column(f"{study.metric}/{target}", study.target_labels[target], 3) for target in study.targets]
    columns += [Column("steps", "steps", 0), Column("attempts", "attempts", 0), Column("seconds", "seconds", 0)]
    included = {key for system in study.systems for key in system.keys}
    rows = tuple(_trial_row(study, ledger, record, names, included) for record in ledger.records)
    caption = f"All trials: {study.measure} on the test split per target; trials that are left out have no scores."
    return Table("trials", caption, tuple(columns), rows)


def _trial_row(
    study: Study, ledger: Ledger, record: TrialRecord, names: list[str], included: Set[str]
) -> tuple[Value, ...]:
    scores = ledger.scores(record.key) if record.key in included else {}
    means = scores.get(TEST, {}).get(study.metric, {})
    params: list[Value] = [_value(record.params.get(name)) for name in names]
    return (
        record.key, record.number, record.state.value, record.seed, *params,
        *(means.get(target) for target in study.targets), record.steps, record.attempts, round(record.seconds, 1),
    )  # fmt: skip


def _value(value: Any) -> Value:
    if value is None or isinstance(value, str):
        return value
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def compute_hours(study: Study, ledger: Ledger) -> tuple[float, float, float]:
    """Return wall, CPU and GPU hours of all attempts: seconds x workers x CPUs (GPUs) per worker."""
    compute = study.info.experiment.get("compute", {})
    workers = float(compute.get("num_workers", 1))
    wall = sum(record.seconds for record in ledger.records) / 3600
    cpus = wall * workers * float(compute.get("cpus_per_worker", 1))
    return wall, cpus, wall * workers * float(compute.get("gpus_per_worker", 0) or 0)


def data_section(study: Study) -> Section | None:
    """Return what the students read, what was dropped, and what they were tested on; None if nothing is recorded."""
    leaks = (study.info.trial.get("data") or {}).get("leaks", "drop")
    lines = tuple(data_lines(study.info.data, leaks))
    return Section("data", "Data", lines) if lines else None


def provenance_section(study: Study, ledger: Ledger) -> Section:
    """Return compute, versions, digests, licences, and the spec that reproduces the study."""
    wall, cpu, gpu = compute_hours(study, ledger)
    text = (
        f"Compute: {wall:.2f} hours of trials, {cpu:.2f} CPU hours and {gpu:.2f} GPU hours, all attempts counted "
        "(trial time × workers, without preparation and baselines).",
        "To reproduce: save the spec below as a file and pass it to `optical-ray run`.",
    )
    pairs: list[tuple[Value, ...]] = []
    info = study.info
    for kind, known in (("data digest", info.digests), ("licence", info.licences), ("version", info.versions)):
        pairs += [(kind, str(name), _flat(value)) for name, value in sorted(known.items())]
    if info.git_commit:
        pairs.append(("version", "git commit of the launch", info.git_commit))
    pairs += [
        (kind, str(name), _flat(value)[:LONGEST])
        for kind in ("bitext", "collections")
        for name, value in sorted((info.data.get(kind) or {}).items())
    ]
    columns = (Column("kind", "What"), Column("name", "Name"), Column("value", "Value", wrap=True))
    caption = "Data digests, licences, versions, and what was read, kept and dropped."
    tables = (Table("provenance", caption, columns, tuple(pairs)),) if pairs else ()
    spec = yaml.safe_dump(_plain(study.info.experiment), sort_keys=False, allow_unicode=True, width=110)
    return Section("provenance", "Provenance", text, tables=tables, code=spec)


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_flat(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_flat(item) for item in value)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
