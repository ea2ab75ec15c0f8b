"""Compare TREC runs with significance, without a study."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from optical_ray.data.input_files import find_file
from optical_ray.data.trec_files import read_qrels
from optical_ray.metrics.scores import evaluate, parse
from optical_ray.metrics.trec_run import read_run
from optical_ray.statistics.pairwise import Pair, significance
from optical_ray.types import InputError, Qrels

NUM_SHOWN = 3
"""Messages name at most this many ids."""


def compare_runs(
    runs: Sequence[Path],
    qrels: Path,
    *,
    metric: str = "AP",
    relevance_level: int = 1,
    groups: Path | None = None,
) -> tuple[Pair, ...]:
    """Compare every pair of TREC ``runs`` on the judged topics; a system is named by its file.

    A judged topic that a run lacks scores 0; topics without a document of grade >= ``relevance_level`` are left out.
    ``groups`` is a file with the columns topic and group, for topics that are not independent. Raises ``InputError``
    for files that do not fit together.
    """
    measure = parse(metric)
    judged = _read_qrels(qrels, relevance_level)
    scores = {}
    for name, path in _named(runs).items():
        run = read_run(path)
        if not run.keys() & judged.grades.keys():
            raise InputError(
                f"{path}: none of its {len(run)} topics (for example {_some(run)}) is judged in {qrels} (for example "
                f"{_some(judged.grades)}). Give the qrels of these topics."
            )
        scores[name] = evaluate([measure], judged, run)[measure.name]
    labels = None if groups is None else _read_groups(groups, judged)
    try:
        return significance(scores, labels)
    except ValueError as error:
        raise InputError(str(error)) from error


def write_comparisons(path: Path, pairs: Sequence[Pair]) -> None:
    """Write one CSV row per pair, with the fields of ``Pair`` as columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Pair)])
        writer.writeheader()
        writer.writerows(asdict(pair) for pair in pairs)


def _named(runs: Sequence[Path]) -> dict[str, Path]:
    """The runs by a short name: the file's name without its suffixes, or its path if that is not unique."""
    short = [path.name.removesuffix(".gz").rpartition(".")[0] or path.name for path in runs]
    counts = Counter(short)
    named = {name if counts[name] == 1 else str(path): path for name, path in zip(short, runs, strict=True)}
    if len(named) < len(runs):
        raise InputError("RUNS: a file is given twice. Give each run once.")
    return named


def _read_qrels(path: Path, relevance_level: int) -> Qrels:
    grades: dict[str, dict[str, int]] = {}
    for line in read_qrels(find_file(str(path))):
        documents = grades.setdefault(line.topic_id, {})
        if line.doc_id in documents:
            raise InputError(
                f"{line.where}: document {line.doc_id[:80]!r} is judged twice for topic {line.topic_id[:80]!r}"
            )
        documents[line.doc_id] = line.grade
    kept = {topic: by for topic, by in grades.items() if any(grade >= relevance_level for grade in by.values())}
    if not kept:
        raise InputError(f"{path}: no topic has a document of grade >= {relevance_level}. Lower --relevance-level.")
    return Qrels(kept, relevance_level)


def _read_groups(path: Path, qrels: Qrels) -> dict[str, str]:
    groups: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}). Give a TSV with topic and group.") from error
    for number, line in enumerate(lines, start=1):
        topic, separator, group = line.strip().partition("\t")
        if not line.strip():
            continue
        if not separator or not group.strip():
            raise InputError(f"{path}:{number}: expected topic and group separated by a tab, got {line[:80]!r}")
        groups[topic.strip()] = group.strip()
    missing = [topic for topic in qrels.grades if topic not in groups]
    if missing:
        raise InputError(f"{path}: {len(missing)} judged topics have no group (for example {missing[0]!r}). Add them.")
    return groups


def _some(ids: Mapping[str, object]) -> str:
    return ", ".join(repr(identifier) for identifier in list(ids)[:NUM_SHOWN])
