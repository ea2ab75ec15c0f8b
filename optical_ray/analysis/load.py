"""Study folder -> ``Study``: what can be compared is aligned, what cannot is left out with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optical_ray.analysis.study import ENGLISH_ONLY, EVAL, TEST, Excluded, FloatArray, Panel, Study, System
from optical_ray.study.records import VERSION, Ledger, TrialRecord, TrialState, read_scores
from optical_ray.types import InputError

SOURCES = "data.source_languages"
COLUMNS = ("split", "target", "metric", "topic_id", "value")
TOLERANCE = 1e-6
"""How far a per-query file's mean may be from the mean in scores.json: both are computed in float64."""


@dataclass(frozen=True)
class _Rows:
    """The (split, target, topic) triples of the undistilled baseline: the rows that every other file is laid on."""

    keys: pa.Array
    topics: tuple[str, ...]
    spans: Mapping[tuple[str, str], slice]


def load_study(folder: Path, metric: str | None = None) -> Study:
    """Read a study, running or finished.

    ``metric`` defaults to the search objective, else to AP. Raises ``InputError`` where there is nothing to compare:
    no study, another layout version, no undistilled baseline, no trial finished.
    """
    ledger = _open(folder)
    about = ledger.study
    if about.get("version") != VERSION:
        raise InputError(
            f"{folder / 'study.json'}: layout version {about.get('version')!r}, this program reads {VERSION}; report "
            "it with the optical_ray version named under its `versions`"
        )
    metric = metric or _objective(about)
    rows, base = _reference(folder, metric)
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
        reasons = "; ".join(sorted({f"{trial.key}: {trial.reason}" for trial in excluded})[:3])
        raise InputError(
            f"{folder}: no finished trial with scores ({counted}); expected at least one COMPLETE. "
            f"{reasons + '. ' if reasons else ''}Run the study again to go on, then report"
        )
    systems, seeds, values = _stack(runs)
    baselines = {ENGLISH_ONLY: base, **_other_baselines(folder, metric, rows)}
    panels, notes = _panels(rows, values, baselines)
    targets = _targets(about, panels)
    if not any(split == EVAL for split, _ in panels):
        notes.append(
            "no eval split: source sets are chosen on the topics they are reported on, so the best is flattered"
        )
    return Study(folder, metric, targets, seeds, systems, panels, tuple(excluded), about, dict(states), tuple(notes))


def _open(folder: Path) -> Ledger:
    try:
        return Ledger.open(folder)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: a trial.json cannot be read ({type(error).__name__}: {error}); expected what `optical-ray "
            "run` wrote; run the study again, or move the broken trial's folder away"
        ) from error


def _objective(about: Mapping[str, Any]) -> str:
    experiment = about.get("experiment", {})
    metrics = experiment.get("evaluation", {}).get("metrics") or ["AP"]
    objective = str(experiment.get("search", {}).get("objective") or ("AP" if "AP" in metrics else metrics[0]))
    return objective.split("/")[0]


def _read(folder: Path, metric: str) -> pa.Table | str:
    """The rows of ``metric`` in a per-query file, or why there are none."""
    path = folder / "per_query.parquet"
    if not path.is_file():
        return "per_query.parquet is missing"
    try:
        table = pq.read_table(path, columns=list(COLUMNS), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        return f"per_query.parquet cannot be read (truncated?): {str(error).splitlines()[0][:120]}"
    if len(pc.unique(table["metric"])) == 1 and len(table) and table["metric"][0].as_py() == metric:
        return table
    table = table.filter(pc.equal(table["metric"], metric))
    return table if len(table) else f"per_query.parquet has no rows of {metric}"


def _keys(table: pa.Table) -> pa.ChunkedArray:
    columns = [table[name].cast(pa.string()) for name in ("split", "target", "topic_id")]
    return pc.binary_join_element_wise(*columns, "\x1f")


def _reference(folder: Path, metric: str) -> tuple[_Rows, FloatArray]:
    """The rows of the undistilled baseline, sorted by split and target, and its values."""
    where = folder / "baselines" / ENGLISH_ONLY
    table = _read(where, metric)
    if isinstance(table, str):
        raise InputError(
            f"{where}: {table}; every gain is measured against this baseline; run the study again to compute it"
        )
    table = table.sort_by([("split", "ascending"), ("target", "ascending")])
    values = np.asarray(table["value"].to_numpy(), dtype=np.float64)
    if np.isnan(values).any():
        raise InputError(
            f"{where}: {int(np.isnan(values).sum())} NaN values of {metric}; expected numbers; score it anew"
        )
    pairs = list(zip(table["split"].to_pylist(), table["target"].to_pylist(), strict=True))
    spans: dict[tuple[str, str], slice] = {}
    start = 0
    for index in range(1, len(pairs) + 1):
        if index == len(pairs) or pairs[index] != pairs[start]:
            spans[pairs[start]] = slice(start, index)
            start = index
    if not any(split == TEST for split, _ in spans):
        raise InputError(f"{where}: no rows of the split 'test' (has: {sorted({s for s, _ in spans})}); score it anew")
    keys = _keys(table).combine_chunks()
    if len(pc.unique(keys)) != len(keys):
        raise InputError(
            f"{where}: a topic is scored twice in per_query.parquet; expected one row a topic; score it anew"
        )
    return _Rows(keys, tuple(table["topic_id"].cast(pa.string()).to_pylist()), spans), values


def _lay(table: pa.Table, rows: _Rows) -> FloatArray | str:
    """The values on the reference rows, NaN where there is none; or why they cannot be used."""
    values = np.asarray(table["value"].to_numpy(), dtype=np.float64)
    missing = np.isnan(values)
    if missing.any():
        targets = sorted(set(table["target"].filter(pa.array(missing)).to_pylist()))
        return f"{int(missing.sum())} NaN scores (targets: {', '.join(map(str, targets))})"
    keys = _keys(table).combine_chunks()
    if len(table) == len(rows.keys) and keys.equals(rows.keys):
        return values
    position = pc.index_in(keys, value_set=rows.keys).to_numpy(zero_copy_only=False)
    known = ~np.isnan(position.astype(np.float64))
    place = position[known].astype(np.int64)
    if len(place) and np.bincount(place).max() > 1:
        return "a topic is scored twice in per_query.parquet"
    laid = np.full(len(rows.keys), np.nan)
    laid[place] = values[known]
    return laid if known.any() else "no topic in common with the undistilled baseline"


def _trial(ledger: Ledger, record: TrialRecord, metric: str, rows: _Rows) -> FloatArray | str:
    """The trial's values on the reference rows, or why it is left out."""
    if record.state is not TrialState.COMPLETE:
        return record.error or {"PRUNED": "stopped early by the scheduler"}.get(record.state.value, "not finished")
    folder = ledger.trial_folder(record.key)
    table = _read(folder, metric)
    if isinstance(table, str):
        return table
    laid = _lay(table, rows)
    if isinstance(laid, str):
        return laid
    said = read_scores(folder)
    for (split, target), span in rows.spans.items():
        expected = said.get(split, {}).get(metric, {}).get(target)
        found = laid[span]
        if np.isnan(found).any():
            here = pc.and_(pc.equal(table["split"], split), pc.equal(table["target"], target))
            found = table["value"].filter(here).to_numpy()
        if expected is None or (len(found) and abs(float(np.mean(found)) - expected) <= TOLERANCE):
            continue
        mean = f"{np.mean(found):.6f}" if len(found) else "nothing"
        return (
            f"per_query.parquet disagrees with scores.json on {split} {target}: {len(found)} of "
            f"{span.stop - span.start} topics, mean {mean} instead of {expected:.6f} (truncated?)"
        )
    return laid


def _other_baselines(folder: Path, metric: str, rows: _Rows) -> dict[str, FloatArray]:
    """The baselines beside the undistilled one; one that cannot be read is not there."""
    found: dict[str, FloatArray] = {}
    for path in sorted((folder / "baselines").glob("*/per_query.parquet")):
        name = path.parent.name
        table = _read(path.parent, metric)
        if name == ENGLISH_ONLY or isinstance(table, str):
            continue
        laid = _lay(table, rows)
        if not isinstance(laid, str):
            found[name] = laid
    return found


def _stack(
    runs: Sequence[tuple[TrialRecord, FloatArray]],
) -> tuple[tuple[System, ...], tuple[int, ...], FloatArray]:
    """Trials grouped by configuration: C x R x rows. A seed keeps its column over systems where seeds are shared."""
    groups: dict[str, list[tuple[TrialRecord, FloatArray]]] = {}
    for record, values in runs:
        identity = json.dumps([sorted(record.source_languages), dict(record.params)], sort_keys=True, default=str)
        groups.setdefault(identity, []).append((record, values))
    seeds = tuple(sorted({record.seed for record, _ in runs}))
    most = max(len(group) for group in groups.values())
    shared = len(seeds) <= 2 * most
    stacked = np.full((len(groups), len(seeds) if shared else most, len(runs[0][1])), np.nan)
    varied = _varied([group[0][0] for group in groups.values()])
    systems = []
    for index, group in enumerate(groups.values()):
        group.sort(key=lambda run: run[0].seed)
        for column, (record, values) in enumerate(group):
            stacked[index, seeds.index(record.seed) if shared else column] = values
        first = group[0][0]
        variant = ", ".join(_choice(first.params[name]) for name in varied if name in first.params)
        keys = tuple(record.key for record, _ in group)
        systems.append(System(tuple(sorted(first.source_languages)), variant, dict(first.params), keys))
    return tuple(systems), seeds if shared else tuple(range(most)), stacked


def _varied(records: Sequence[TrialRecord]) -> list[str]:
    """The searched parameters that are choices (no numbers, no source languages) and take more than one value."""
    names = sorted({name for record in records for name in record.params if name != SOURCES})
    taken = {name: {_choice(record.params[name]) for record in records if name in record.params} for name in names}
    numeric = {
        name for name in names if all(is_number(record.params[name]) for record in records if name in record.params)
    }
    return [name for name in names if name not in numeric and len(taken[name]) > 1]


def is_number(value: Any) -> bool:
    """Whether a parameter value is a quantity (a truth value is not)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _choice(value: Any) -> str:
    if isinstance(value, Mapping):
        rest = {name: item for name, item in value.items() if name != "kind"}
        return str(value.get("kind", "")) + (" " + json.dumps(rest, sort_keys=True) if rest else "")
    return str(value)


def _panels(
    rows: _Rows, values: FloatArray, baselines: Mapping[str, FloatArray]
) -> tuple[dict[tuple[str, str], Panel], list[str]]:
    """Cut the rows into splits and targets, on the topics that every system scored there has."""
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
                f"{len(topics)} common ones"
            )
        if not topics:
            raise InputError(
                f"{target}, {split}: the trials have no topic in common; expected the same topics; evaluate anew"
            )
        if not scored.any():
            continue
        lacking = int((~scored.any(axis=1)).sum())
        if lacking:
            notes.append(f"{target}, {split}: {lacking} configurations are not scored on it")
        panels[split, target] = Panel(
            topics, block, {name: vector[span][common] for name, vector in baselines.items()}, dropped
        )
    return panels, notes


def _targets(about: Mapping[str, Any], panels: Mapping[tuple[str, str], Panel]) -> tuple[str, ...]:
    """The targets with test scores, in the order of the spec."""
    found = [target for split, target in panels if split == TEST]
    order = [str(name) for name in about.get("experiment", {}).get("evaluation", {}).get("targets") or []]
    return tuple(sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name)))
