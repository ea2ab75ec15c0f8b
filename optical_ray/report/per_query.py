"""Per-query score files, aligned on the topics of the undistilled baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optical_ray.report.study import TEST
from optical_ray.statistics.arrays import FloatArray
from optical_ray.study.layout import PER_QUERY_COLUMNS, UNDISTILLED, ResultFolder, StudyFolder
from optical_ray.study.records import Scores
from optical_ray.types import InputError

TOLERANCE = 1e-6
"""How far a file's mean may be from the mean in scores.json; both are computed in float64."""

RESUME = "Run the study again to complete it."


@dataclass(frozen=True)
class Rows:
    """The (split, target, topic) triples of the undistilled baseline; all other files are aligned with them.

    ``spans`` maps (split, target) to its rows.
    """

    keys: pa.Array
    topics: tuple[str, ...]
    spans: Mapping[tuple[str, str], slice]


@dataclass(frozen=True)
class Aligned:
    """Scores on the reference rows, NaN for topics that the file lacks."""

    values: FloatArray
    table: pa.Table = field(repr=False)


def reference(study: StudyFolder, metric: str) -> tuple[Rows, FloatArray]:
    """Return the rows of the undistilled baseline, sorted by split and target, and its scores.

    Raises ``InputError`` if the file is missing or unusable, because every gain is measured against it.
    """
    folder = study.baseline(UNDISTILLED)
    table = read(folder, metric)
    if isinstance(table, str):
        raise InputError(f"{folder.path}: {table}; every gain is measured against this baseline. {RESUME}")
    table = table.sort_by([("split", "ascending"), ("target", "ascending")])
    values = np.asarray(table["value"].to_numpy(), dtype=np.float64)
    if np.isnan(values).any():
        raise InputError(
            f"{folder.path}: {int(np.isnan(values).sum())} scores of {metric} are NaN; expected numbers. Delete this "
            "folder and run the study again."
        )
    pairs = list(zip(table["split"].to_pylist(), table["target"].to_pylist(), strict=True))
    spans: dict[tuple[str, str], slice] = {}
    start = 0
    for index in range(1, len(pairs) + 1):
        if index == len(pairs) or pairs[index] != pairs[start]:
            spans[pairs[start]] = slice(start, index)
            start = index
    if not any(split == TEST for split, _ in spans):
        raise InputError(
            f"{folder.path}: no scores of the split 'test' (got {sorted({split for split, _ in spans})}). {RESUME}"
        )
    keys = _keys(table).combine_chunks()
    if len(pc.unique(keys)) != len(keys):
        raise InputError(
            f"{folder.path}: a topic is scored twice in per_query.parquet; expected one row per topic. Delete this "
            "folder and run the study again."
        )
    return Rows(keys, tuple(table["topic_id"].cast(pa.string()).to_pylist()), spans), values


def read(folder: ResultFolder, metric: str) -> pa.Table | str:
    """Return the rows of ``metric`` in a per-query file, or the reason why they cannot be read."""
    if not folder.per_query.is_file():
        return "per_query.parquet is missing"
    try:
        table = pq.read_table(folder.per_query, columns=list(PER_QUERY_COLUMNS), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        return f"per_query.parquet cannot be read (truncated?): {str(error).splitlines()[0][:120]}"
    if len(pc.unique(table["metric"])) == 1 and len(table) and table["metric"][0].as_py() == metric:
        return table
    table = table.filter(pc.equal(table["metric"], metric))
    return table if len(table) else f"per_query.parquet has no rows of {metric}"


def align(folder: ResultFolder, metric: str, rows: Rows) -> Aligned | str:
    """Return the scores of a result folder on the reference rows, or the reason why they cannot be used."""
    table = read(folder, metric)
    if isinstance(table, str):
        return table
    values = np.asarray(table["value"].to_numpy(), dtype=np.float64)
    missing = np.isnan(values)
    if missing.any():
        targets = sorted(set(table["target"].filter(pa.array(missing)).to_pylist()))
        return f"{int(missing.sum())} NaN scores (targets: {', '.join(map(str, targets))})"
    keys = _keys(table).combine_chunks()
    if len(table) == len(rows.keys) and keys.equals(rows.keys):
        return Aligned(values, table)
    position = pc.index_in(keys, value_set=rows.keys).to_numpy(zero_copy_only=False)
    known = ~np.isnan(position.astype(np.float64))
    indices = position[known].astype(np.int64)
    if len(indices) and np.bincount(indices).max() > 1:
        return "a topic is scored twice in per_query.parquet"
    aligned = np.full(len(rows.keys), np.nan)
    aligned[indices] = values[known]
    return Aligned(aligned, table) if known.any() else "no topic in common with the undistilled baseline"


def disagreement(aligned: Aligned, means: Scores, metric: str, rows: Rows) -> str | None:
    """Return how a per-query file disagrees with the means in scores.json; None if it agrees."""
    for (split, target), span in rows.spans.items():
        expected = means.get(split, {}).get(metric, {}).get(target)
        values = aligned.values[span]
        if np.isnan(values).any():
            table = aligned.table
            here = pc.and_(pc.equal(table["split"], split), pc.equal(table["target"], target))
            values = table["value"].filter(here).to_numpy()
        if expected is None or (len(values) and abs(float(np.mean(values)) - expected) <= TOLERANCE):
            continue
        mean = f"mean {np.mean(values):.6f}" if len(values) else "no mean"
        return (
            f"per_query.parquet disagrees with scores.json on {split} {target}: {len(values)} of "
            f"{span.stop - span.start} topics, {mean} instead of {expected:.6f} (truncated?)"
        )
    return None


def other_baselines(study: StudyFolder, metric: str, rows: Rows) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return the scores of the other baselines by name, and the students (R' x rows) of those with seeds.

    A baseline that cannot be read is left out.
    """
    baselines: dict[str, FloatArray] = {}
    runs: dict[str, FloatArray] = {}
    for path in sorted(study.baselines.glob("*")):
        if path.name == UNDISTILLED or not path.is_dir():
            continue
        aligned = align(study.baseline(path.name), metric, rows)
        if isinstance(aligned, str):
            continue
        baselines[path.name] = aligned.values
        students = [align(ResultFolder(seed), metric, rows) for seed in sorted(path.glob("seed-*"))]
        usable = [student.values for student in students if not isinstance(student, str)]
        if len(usable) > 1:
            runs[path.name] = np.stack(usable)
    return baselines, runs


def topic_groups(study: StudyFolder, rows: Rows) -> dict[tuple[str, str], Sequence[str]]:
    """Return each topic's group by (split, target), for collections that have groups.

    A topic without a group in such a collection is a group of its own.
    """
    if not study.topics.is_file() or "group" not in pq.read_schema(study.topics).names:
        return {}
    table = pq.read_table(study.topics, columns=["split", "target", "topic_id", "group"])
    columns = [table[name].to_pylist() for name in ("split", "target", "topic_id", "group")]
    known = {(split, target, str(topic)): group for split, target, topic, group in zip(*columns, strict=True)}
    groups: dict[tuple[str, str], Sequence[str]] = {}
    for (split, target), span in rows.spans.items():
        labels = [known.get((split, target, topic)) for topic in rows.topics[span]]
        if any(label is not None for label in labels):
            groups[split, target] = [
                f"topic {topic}" if label is None else f"group {label}"
                for topic, label in zip(rows.topics[span], labels, strict=True)
            ]
    return groups


def _keys(table: pa.Table) -> pa.ChunkedArray:
    columns = [table[name].cast(pa.string()) for name in ("split", "target", "topic_id")]
    return pc.binary_join_element_wise(*columns, "\x1f")
