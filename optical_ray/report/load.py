"""Study folder -> ``Study``: comparable results are aligned, all others are left out with a reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optical_ray.report.per_query import Rows, align, disagreement, other_baselines, reference, topic_groups
from optical_ray.report.study import EVAL, TEST, Excluded, Panel, Study, System
from optical_ray.statistics.arrays import FloatArray
from optical_ray.statistics.groups import Groups
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import UNDISTILLED, ResultFolder, StudyFolder
from optical_ray.study.records import Ledger, TrialRecord, TrialState, read_scores
from optical_ray.types import InputError

SOURCES = "data.source_languages"


def load_study(folder: Path | str, metric: str | None = None) -> Study:
    """Read a study, running or finished.

    ``metric`` is the measure to analyse; None means the objective of the search. Needs neither torch nor Ray. Raises
    ``InputError`` if ``folder`` is not a study, has another layout version, or has no undistilled baseline or no
    finished trial.
    """
    folder = Path(folder)
    info = StudyInfo.read(folder)
    ledger = Ledger.open(folder)
    metric = metric or info.objective.split("/")[0]
    rows, base = reference(StudyFolder(folder), metric)
    runs: list[tuple[TrialRecord, FloatArray]] = []
    excluded: list[Excluded] = []
    for record in ledger.records:
        values = _trial(ledger, record, metric, rows)
        if isinstance(values, str):
            label = "+".join(record.source_languages)
            excluded.append(Excluded(record.key, record.number, label, record.seed, record.state.value, values))
        else:
            runs.append((record, values))
    states = Counter(record.state.value for record in ledger.records)
    if not runs:
        counted = ", ".join(f"{count} {state}" for state, count in states.items()) or "no trials"
        reasons = "; ".join(sorted({f"{trial.key}: {trial.reason[:200]}" for trial in excluded})[:3])
        raise InputError(
            f"{folder}: no finished trial with scores (got {counted}, expected at least one COMPLETE). "
            f"{reasons + '. ' if reasons else ''}Run the study again, then report."
        )
    systems, seeds, values = _stack(runs)
    baselines, control_runs = other_baselines(StudyFolder(folder), metric, rows)
    groups = topic_groups(StudyFolder(folder), rows)
    panels, notes = _panels(rows, values, {UNDISTILLED: base, **baselines}, control_runs, groups)
    notes += [f"{reason}. The trial is left out." for reason in ledger.damaged.values()]
    if not any(split == EVAL for split, _ in panels):
        notes.append(
            "The study has no eval split: source sets are chosen on the topics they are reported on, which flatters "
            "the best."
        )
    targets = _targets(info, panels)
    return Study(folder, metric, targets, seeds, systems, panels, tuple(excluded), info, dict(states), tuple(notes))


def _trial(ledger: Ledger, record: TrialRecord, metric: str, rows: Rows) -> FloatArray | str:
    """The trial's scores on the reference rows, or the reason why it is left out."""
    if record.state is not TrialState.COMPLETE:
        return record.error or ("stopped early by the scheduler" if record.state.value == "PRUNED" else "not finished")
    folder = ledger.trial_folder(record.key)
    aligned = align(ResultFolder(folder), metric, rows)
    if isinstance(aligned, str):
        return aligned
    return disagreement(aligned, read_scores(folder), metric, rows) or aligned.values


def _stack(
    runs: Sequence[tuple[TrialRecord, FloatArray]],
) -> tuple[tuple[System, ...], tuple[int, ...], FloatArray]:
    """Trials by configuration: C x R x rows. A seed has one column in all systems if systems share their seeds."""
    by_configuration: dict[str, list[tuple[TrialRecord, FloatArray]]] = {}
    for record, values in runs:
        identity = json.dumps([sorted(record.source_languages), dict(record.params)], sort_keys=True, default=str)
        by_configuration.setdefault(identity, []).append((record, values))
    seeds = tuple(sorted({record.seed for record, _ in runs}))
    most = max(len(members) for members in by_configuration.values())
    shared = len(seeds) <= 2 * most
    stacked = np.full((len(by_configuration), len(seeds) if shared else most, len(runs[0][1])), np.nan)
    varied = _varied([members[0][0] for members in by_configuration.values()])
    systems = []
    for index, members in enumerate(by_configuration.values()):
        members.sort(key=lambda run: run[0].seed)
        for column, (record, values) in enumerate(members):
            stacked[index, seeds.index(record.seed) if shared else column] = values
        first = members[0][0]
        variant = ", ".join(_choice(first.params[name]) for name in varied if name in first.params)
        keys = tuple(record.key for record, _ in members)
        systems.append(System(tuple(sorted(first.source_languages)), variant, dict(first.params), keys))
    return tuple(systems), seeds if shared else tuple(range(most)), stacked


def _varied(records: Sequence[TrialRecord]) -> list[str]:
    """The searched parameters that are neither numbers nor source languages and take more than one value."""
    names = sorted({name for record in records for name in record.params if name != SOURCES})
    taken = {name: {_choice(record.params[name]) for record in records if name in record.params} for name in names}
    numeric = {
        name for name in names if all(is_number(record.params[name]) for record in records if name in record.params)
    }
    return [name for name in names if name not in numeric and len(taken[name]) > 1]


def is_number(value: Any) -> bool:
    """Return whether a parameter value is a quantity; a truth value is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _choice(value: Any) -> str:
    if isinstance(value, Mapping):
        rest = {name: item for name, item in value.items() if name != "kind"}
        return str(value.get("kind", "")) + (" " + json.dumps(rest, sort_keys=True) if rest else "")
    return str(value)


def _panels(
    rows: Rows,
    values: FloatArray,
    baselines: Mapping[str, FloatArray],
    control_runs: Mapping[str, FloatArray],
    groups: Mapping[tuple[str, str], Sequence[str]],
) -> tuple[dict[tuple[str, str], Panel], list[str]]:
    """The rows by split and target, on the topics that all systems scored there share."""
    panels: dict[tuple[str, str], Panel] = {}
    notes: list[str] = []
    for (split, target), span in rows.spans.items():
        block = values[:, :, span]
        scored = np.asarray(~np.isnan(block).all(axis=2))
        common = np.asarray(~(np.isnan(block) & scored[:, :, None]).any(axis=(0, 1)))
        topics = tuple(topic for topic, keep in zip(rows.topics[span], common, strict=True) if keep)
        dropped = int((~common).sum())
        if dropped:
            block = block[:, :, common]
            notes.append(
                f"{target}, {split}: {dropped} of {len(common)} topics are not scored in every trial; compared on the "
                f"{len(topics)} common topics."
            )
        if not topics:
            raise InputError(
                f"{target}, {split}: the trials have no topic in common; expected the same topics in all. Delete the "
                "trials' per_query.parquet and run the study again."
            )
        if not scored.any():
            continue
        unscored = int((~scored.any(axis=1)).sum())
        if unscored:
            notes.append(f"{target}, {split}: {unscored} configurations are not scored on it.")
        labels = groups.get((split, target))
        panels[split, target] = Panel(
            topics,
            block,
            {name: vector[span][common] for name, vector in baselines.items()},
            dropped,
            None
            if labels is None
            else Groups.from_labels([labels[index] for index in np.flatnonzero(common).tolist()]),
            _control_runs(control_runs, span, common),
        )
    return panels, notes


def _control_runs(runs: Mapping[str, FloatArray], span: slice, common: np.ndarray) -> dict[str, FloatArray]:
    """The students of each control on the panel's topics, without those that lack one of them."""
    parts = {name: block[:, span][:, common] for name, block in runs.items()}
    return {name: part[~np.isnan(part).any(axis=1)] for name, part in parts.items()}


def _targets(info: StudyInfo, panels: Mapping[tuple[str, str], Panel]) -> tuple[str, ...]:
    """The targets with test scores, in the order of the spec; targets that it does not name come last."""
    scored = [target for split, target in panels if split == TEST]
    order = [*info.targets, *(info.experiment.get("data", {}).get("collections") or {})]
    return tuple(sorted(scored, key=lambda name: (order.index(name) if name in order else len(order), name)))
