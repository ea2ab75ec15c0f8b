"""Studies whose truth is known: per-topic scores planted from language effects, seeds, topics and noise.

The model, for a source set S, target j, epsilon e, seed s, topic t::

    score = base + topic[j, t] + truth(S, j) + curve(e) + seed[S, e, s, j] + noise + scale of the topic's own gain

Scores are not cut to [0, 1], so that the planted gain is exactly the expected difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from optical_ray.report.study import Panel, Study, System
from optical_ray.statistics.groups import Groups
from optical_ray.study.files import write_json
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import UNDISTILLED, ResultFolder, StudyFolder
from optical_ray.study.records import Ledger, TrialState


@dataclass(frozen=True)
class Planted:
    """The truth: ``effects[language][target]`` add up over a set; ``interactions[(a, b)]`` if both are in it."""

    effects: Mapping[str, Mapping[str, float]]
    interactions: Mapping[tuple[str, str], float] = field(default_factory=dict)
    epsilons: Sequence[float] = (0.1,)
    epsilon_gains: Sequence[float] = (0.0,)
    num_topics: int = 100
    num_seeds: int = 3
    seed_sd: float = 0.0
    topic_sd: float = 0.2
    gain_sd: float = 0.1
    noise_sd: float = 0.05
    base: float = 0.3
    max_size: int | None = None
    sets: Sequence[tuple[str, ...]] | None = None
    group_sizes: Sequence[int] | None = None
    group_correlation: float = 0.0

    def groups(self) -> Groups:
        """The topics' groups, in the order of their sizes."""
        assert self.group_sizes is not None
        return Groups(np.repeat(np.arange(len(self.group_sizes)), self.group_sizes))

    def draw_gains(self, random: np.random.Generator, num_sets: int) -> np.ndarray:
        """Sets x T: each topic's own gain, correlated within groups."""
        own = random.normal(0, self.gain_sd, (num_sets, 1, 1, self.num_topics))
        if self.group_sizes is None:
            return own
        assert sum(self.group_sizes) == self.num_topics
        shared = random.normal(0, self.gain_sd, (num_sets, 1, 1, len(self.group_sizes)))
        rho = self.group_correlation
        gains: np.ndarray = np.sqrt(rho) * shared[..., self.groups().codes] + np.sqrt(1 - rho) * own
        return gains

    @property
    def languages(self) -> tuple[str, ...]:
        """The players, sorted."""
        return tuple(sorted(self.effects))

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets, in the order that they are planted."""
        return tuple(next(iter(self.effects.values())))

    @property
    def source_sets(self) -> list[tuple[str, ...]]:
        """Every non-empty subset (up to ``max_size``), or the given ones."""
        if self.sets is not None:
            return [tuple(item) for item in self.sets]
        sizes = range(1, (self.max_size or len(self.languages)) + 1)
        return [subset for size in sizes for subset in itertools.combinations(self.languages, size)]

    def truth(self, sources: Sequence[str], target: str) -> float:
        """The expected gain of a source set over the undistilled student, averaged over topics and seeds."""
        total = sum(self.effects[language][target] for language in sources)
        return total + sum(gain for pair, gain in self.interactions.items() if set(pair) <= set(sources))


def scores(planted: Planted, split: int, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(undistilled T per target, systems set x epsilon x seed x T per target), drawn from ``seed``."""
    random = np.random.default_rng([seed, split])
    shared = np.random.default_rng([seed, 99])  # a student's luck is the same on eval and on test
    shape = (len(planted.source_sets), len(planted.epsilons), planted.num_seeds)
    base: dict[str, np.ndarray] = {}
    systems: dict[str, np.ndarray] = {}
    for target in planted.targets:
        luck = shared.normal(0, planted.seed_sd, shape) if planted.seed_sd else np.zeros(shape)
        base[target] = planted.base + random.normal(0, planted.topic_sd, planted.num_topics)
        gains = np.array([planted.truth(sources, target) for sources in planted.source_sets])
        own = planted.draw_gains(random, len(gains))
        noise = random.normal(0, planted.noise_sd, (*shape, planted.num_topics))
        curve = np.asarray(planted.epsilon_gains)[None, :, None, None]
        systems[target] = base[target] + gains[:, None, None, None] + curve + luck[..., None] + own + noise
    return base, systems


def plant(planted: Planted, *, seed: int = 0, mode: str = "estimate", control: bool = False) -> Study:
    """Return the study as ``load_study`` reads it, without files: for many simulated studies.

    ``control`` adds a baseline "shuffled" with one student per seed and no gain.
    """
    splits = {"eval": scores(planted, 0, seed), "test": scores(planted, 1, seed)}
    systems, cells = [], []
    for (row, sources), (column, epsilon) in itertools.product(
        enumerate(planted.source_sets), enumerate(planted.epsilons)
    ):
        params = {"data.source_languages": "+".join(sources), "loss.solver.epsilon": epsilon}
        keys = tuple(f"{row:04x}{column:04x}{replicate:04x}" for replicate in range(planted.num_seeds))
        systems.append(System(sources, "", params, keys))
        cells.append((row, column))
    rows, columns = (np.array(part) for part in zip(*cells, strict=True))
    topics = tuple(str(index) for index in range(planted.num_topics))
    groups = None if planted.group_sizes is None else planted.groups()
    panels = {}
    for split, (base, values) in splits.items():
        for target in planted.targets:
            runs = _control(planted, base[target], seed) if control else None
            baselines = {UNDISTILLED: base[target], **({} if runs is None else {"shuffled": runs.mean(axis=0)})}
            panels[split, target] = Panel(
                topics,
                values[target][rows, columns],
                baselines,
                groups=groups,
                control_runs={} if runs is None else {"shuffled": runs},
            )
    info = study_info("planted", planted, mode)
    return Study(
        Path("planted"),
        "AP",
        planted.targets,
        tuple(range(planted.num_seeds)),
        tuple(systems),
        panels,
        (),
        info,
        {},
        (),
    )


def _control(planted: Planted, base: np.ndarray, seed: int) -> np.ndarray:
    """The students of a control: R x T."""
    random = np.random.default_rng([seed, 77])
    luck = random.normal(0, planted.seed_sd, (planted.num_seeds, 1))
    return base + luck + random.normal(0, planted.noise_sd, (planted.num_seeds, len(base)))


def write_study(
    folder: Path,
    planted: Planted,
    *,
    seed: int = 0,
    mode: str = "estimate",
    controls: bool = False,
    curves: bool = False,
    texts: bool = False,
) -> Ledger:
    """Write a finished study folder through the ledger and return it."""
    splits = {"eval": scores(planted, 0, seed), "test": scores(planted, 1, seed)}
    folder.mkdir(parents=True)
    study_info(folder.name, planted, mode).write(folder)
    write_scores(folder / "baselines" / UNDISTILLED, {name: base for name, (base, _) in splits.items()})
    if controls:
        random = np.random.default_rng(seed + 1)
        for name, gain in (("en", 0.002), ("shuffled", -0.01), ("bm25", 0.05), ("teacher_english", 0.3)):
            shifted = {
                split: {target: values + gain + random.normal(0, 0.05, len(values)) for target, values in base.items()}
                for split, (base, _) in splits.items()
            }
            write_scores(folder / "baselines" / name, shifted)
            for replicate in range(planted.num_seeds if name in ("en", "shuffled") else 0):
                apart = {
                    split: {target: values + 0.01 * replicate for target, values in base.items()}
                    for split, base in shifted.items()
                }
                write_scores(folder / "baselines" / name / f"seed-{replicate}", apart)
    ledger = Ledger.open(folder)
    cells = itertools.product(enumerate(planted.source_sets), enumerate(planted.epsilons), range(planted.num_seeds))
    for (row, sources), (column, epsilon), replicate in cells:
        key = f"{row:04x}{column:04x}{replicate:04x}"
        params: dict[str, Any] = {"data.source_languages": "+".join(sources)}
        if len(planted.epsilons) > 1:
            params["loss.solver.epsilon"] = epsilon
        ledger.create(key, params=params, seed=replicate, config={}, source_languages=sources, steps=100)
        ledger.start(key, resumed_from=0)
        values = {
            split: {target: table[row, column, replicate] for target, table in systems.items()}
            for split, (_, systems) in splits.items()
        }
        write_scores(ledger.trial_folder(key), values)
        if curves:
            ledger.log(key, _rows(values["eval"], splits["eval"][0]))
        ledger.finish(key, TrialState.COMPLETE)
    if texts:
        write_texts(folder, planted)
    return ledger


def _rows(values: Mapping[str, np.ndarray], base: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    rows = []
    for step in range(10, 101, 10):
        part = 1 - np.exp(-step / 30)
        learned = {f"AP/{name}": float(base[name].mean() * (1 - part) + part * values[name].mean()) for name in values}
        rows.append({"step": step, "loss": float(1.2 - part), "ot/marginal_error": 1e-4, **learned})
    return rows


def study_info(name: str, planted: Planted, mode: str) -> StudyInfo:
    """The ``study.json`` as a launcher writes it."""
    space: dict[str, Any] = {"data.source_languages": {"kind": "subset", "of": list(planted.languages)}}
    if len(planted.epsilons) > 1:
        space["loss.solver.epsilon"] = {"kind": "grid", "values": list(planted.epsilons)}
    design = tuple(
        {"data.source_languages": "+".join(sources), "loss.solver.epsilon": epsilon}
        for sources in planted.source_sets
        for epsilon in planted.epsilons
    )
    return StudyInfo(
        study_id=f"{name}-0000",
        name=name,
        created=1_790_000_000.0,
        targets=planted.targets,
        num_trials=len(design) * planted.num_seeds,
        experiment={
            "name": name,
            "seed": 0,
            "data": {
                "collections": {target: {"kind": "cldr_annotations", "language": target} for target in planted.targets}
            },
            "trial": {"optimizer": {"steps": 100}},
            "evaluation": {"targets": list(planted.targets), "metrics": ["AP"]},
            "space": space,
            "search": {"mode": mode, "seeds": planted.num_seeds, "objective": "AP"},
            "compute": {"keep": "none", "num_workers": 1, "cpus_per_worker": 1, "gpus_per_worker": 0},
            "tracking": [],
        },
        digests={"cldr": "0123456789ab"},
        licences={"cldr": "Unicode-3.0"},
        versions={"numpy": np.__version__},
        design=design if mode == "estimate" else (),
    )


def write_scores(folder: Path, values: Mapping[str, Mapping[str, np.ndarray]], metric: str = "AP") -> None:
    """``per_query.parquet`` and ``scores.json`` of one run: split -> target -> T values."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, list[Any]] = {"split": [], "target": [], "metric": [], "topic_id": [], "value": []}
    for split, targets in values.items():
        for target, vector in targets.items():
            columns["split"] += [split] * len(vector)
            columns["target"] += [target] * len(vector)
            columns["metric"] += [metric] * len(vector)
            columns["topic_id"] += [f"{split[0]}{index}" for index in range(len(vector))]
            columns["value"] += vector.tolist()
    pq.write_table(pa.table(columns), ResultFolder(folder).per_query)
    means = {
        split: {metric: {name: float(v.mean()) for name, v in targets.items()}} for split, targets in values.items()
    }
    write_json(ResultFolder(folder).scores, means)


def write_texts(folder: Path, planted: Planted) -> None:
    """``topics.parquet``: a text for every topic, and its group (null if there are no groups)."""
    codes = [None] * planted.num_topics if planted.group_sizes is None else planted.groups().codes.tolist()
    rows = [
        {
            "split": split,
            "target": target,
            "topic_id": f"{split[0]}{index}",
            "text": f"{target} query {index}",
            "group": None if codes[index] is None else f"intent {codes[index]}",
        }
        for split in ("eval", "test")
        for target in planted.targets
        for index in range(planted.num_topics)
    ]
    fields = ("split", "target", "topic_id", "text", "group")
    schema = pa.schema([(name, pa.string()) for name in fields])
    pq.write_table(pa.Table.from_pylist(rows, schema), StudyFolder(folder).topics)
