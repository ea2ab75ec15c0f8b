"""A study as arrays: systems x seeds x topics, per split and target.

Legend of array shapes: ``C`` systems (configurations), ``R`` seeds, ``T`` topics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from optical_ray.languages import collection_label, collection_language, is_supervised, language_name, set_label
from optical_ray.statistics.arrays import FloatArray, nan_mean
from optical_ray.statistics.groups import Groups
from optical_ray.statistics.seeds import SeedVariance, pool_seeds
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import SPLITS, UNDISTILLED

EVAL, TEST = SPLITS
LONGEST_LABEL = 32
"""Characters that a row of a figure has room for."""

BASELINE_NAMES = {
    UNDISTILLED: "English-only (undistilled)",
    "en": "control: English bitext onto itself",
    "shuffled": "control: shuffled pairs",
    "bm25": "BM25",
    "teacher_english": "teacher on English topics",
    "nmt": "machine-translated topics",
}


def baseline_name(name: str) -> str:
    """Return the name of a baseline for readers."""
    return BASELINE_NAMES.get(name, name)


@dataclass(frozen=True)
class System:
    """A configuration with all its seeds.

    ``variant`` names the searched choices that are neither numbers nor source languages (such as a loss), "" if none.
    """

    sources: tuple[str, ...]
    variant: str
    params: Mapping[str, Any]
    keys: tuple[str, ...]

    @property
    def label(self) -> str:
        """``"de+hi"``, or ``"de+hi | mse"`` if a variant is searched too."""
        name = "+".join(self.sources)
        return f"{name} | {self.variant}" if self.variant else name


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "topic"), plural(1236, "topic")
    ('1 topic', '1,236 topics')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Panel:
    """Per-topic scores of one target on one split, on the topics that all systems share.

    ``values`` is C x R x T with NaN if a system was not trained with a seed or not scored on the target;
    ``baselines`` maps a name to T values (NaN for a topic it lacks); ``control_runs`` maps a control to its R' x T
    students; ``dropped`` counts topics left out because a system lacks them; ``groups`` are the topics' groups.
    """

    topics: tuple[str, ...]
    values: FloatArray
    baselines: Mapping[str, FloatArray]
    dropped: int = 0
    groups: Groups | None = None
    control_runs: Mapping[str, FloatArray] = field(default_factory=dict)

    @cached_property
    def seed_means(self) -> FloatArray:
        """C x R: means over topics, NaN for missing runs."""
        return np.asarray(self.values.mean(axis=2))

    @cached_property
    def means(self) -> FloatArray:
        """C: means over topics and the seeds that exist, NaN for a system without scores."""
        return nan_mean(self.seed_means, axis=1)

    @cached_property
    def seed_variance(self) -> SeedVariance | None:
        """The variance between seeds, pooled over all systems; None if no system has two seeds."""
        return pool_seeds([self.present(system) for system in range(len(self.values))], self.groups)

    def with_control(self, name: str) -> SeedVariance | None:
        """Return the variance between seeds, pooled over all systems and the students of a control."""
        if name not in self.control_runs:
            return self.seed_variance
        runs = [self.present(system) for system in range(len(self.values))]
        return pool_seeds([*runs, self.control_runs[name]], self.groups)

    def present(self, system: int) -> FloatArray:
        """Return the R' x T runs of ``system`` that exist."""
        runs: FloatArray = self.values[system]
        return np.asarray(runs[~np.isnan(runs).any(axis=1)])

    @property
    def num_units(self) -> int:
        """How many independent units tests work on: groups if there are any, else topics."""
        return len(self.topics) if self.groups is None else self.groups.num_groups

    @property
    def units(self) -> str:
        """``num_units`` with its noun: ``"400 topics"`` or ``"80 groups of topics"``."""
        if self.groups is None:
            return plural(len(self.topics), "topic")
        return f"{plural(self.groups.num_groups, 'group')} of topics"

    @property
    def size(self) -> str:
        """``"400 topics"``, or ``"1,236 topics in 80 groups, 16.6 effective"``."""
        topics = plural(len(self.topics), "topic")
        if self.groups is None:
            return topics
        return f"{topics} in {plural(self.groups.num_groups, 'group')}, {self.groups.effective:.1f} effective"


@dataclass(frozen=True)
class Excluded:
    """A trial that is left out of all numbers, with the reason."""

    key: str
    number: int
    label: str
    seed: int
    state: str
    reason: str


@dataclass(frozen=True)
class Study:
    """What a report reads of a study.

    ``metric`` is the measure that is analysed per topic (``"AP"``); ``seeds`` are the columns of every panel;
    ``states`` counts trials by state; ``notes`` state what a reader must know about the data.
    """

    folder: Path
    metric: str
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    systems: tuple[System, ...]
    panels: Mapping[tuple[str, str], Panel]
    excluded: tuple[Excluded, ...]
    info: StudyInfo
    states: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The study's name."""
        return self.info.name

    @property
    def measure(self) -> str:
        """The name of the mean of ``metric``: ``"MAP"`` for AP, ``"mean AP(rel=2)"`` if only grade 2 is relevant."""
        name = measure_name(self.metric, self.relevance_level)
        return "MAP" if name == "AP" else f"mean {name}"

    @property
    def per_topic_measure(self) -> str:
        """The name of ``metric`` for one topic: ``"AP(rel=2)"`` if only grade 2 is relevant."""
        return measure_name(self.metric, self.relevance_level)

    @property
    def relevance_level(self) -> int:
        """The lowest relevant grade of all targets; 1 if the collections differ or do not state it."""
        levels = {self._relevance_level(target) for target in self.targets}
        return levels.pop() if len(levels) == 1 else 1

    def _relevance_level(self, target: str) -> int:
        read = self.info.data.get("collections", {}).get(target, {}).get(TEST, {})
        block = self._collections.get(target) or {}
        return int(read.get("relevance_level") or block.get("relevance_level") or 1)

    @property
    def languages(self) -> tuple[str, ...]:
        """All source languages that a system used, sorted."""
        return tuple(sorted({language for system in self.systems for language in system.sources}))

    def test(self, target: str) -> Panel:
        """Return the panel that results are reported on."""
        return self.panels[TEST, target]

    def eval(self, target: str) -> Panel:
        """Return the panel that choices are made on; the test panel if the study has no eval split."""
        return self.panels.get((EVAL, target), self.panels[TEST, target])

    def holds_own(self, sources: tuple[str, ...], target: str) -> bool:
        """Return whether the target's language is among ``sources``: supervision then, not transfer."""
        return is_supervised(self.target_language(target), sources)

    def target_language(self, target: str) -> str:
        """Return the language that the target's collection states; the target's name if it states none."""
        return collection_language(self._collections, target)

    @property
    def _collections(self) -> Mapping[str, Any]:
        return self.info.experiment.get("data", {}).get("collections") or {}

    def target_name(self, target: str) -> str:
        """Return the English name of the target's language, for sentences."""
        return language_name(self.target_language(target))

    @cached_property
    def target_labels(self) -> Mapping[str, str]:
        """The targets' labels: ``"Swahili (sw)"``, or ``"Swahili (sw, news)"`` if the collection is called ``news``."""
        return {target: collection_label(self._collections, target) for target in self.targets}

    @cached_property
    def set_labels(self) -> Mapping[str, str]:
        """The source sets' labels in tables: ``"German + Hindi (de+hi)"``."""
        variants = {system.label: f" | {system.variant}" if system.variant else "" for system in self.systems}
        return {system.label: set_label(system.sources) + variants[system.label] for system in self.systems}

    def short_label(self, label: str) -> str:
        """Return a source set's label for a figure: with names if that is short, else only codes."""
        named = self.set_labels[label]
        return named if len(named) <= LONGEST_LABEL else label


def measure_name(metric: str, relevance_level: int) -> str:
    """Return a measure's name in the notation of ir_measures.

    >>> measure_name("AP", 2), measure_name("P@10", 2), measure_name("nDCG@20", 2), measure_name("AP", 1)
    ('AP(rel=2)', 'P(rel=2)@10', 'nDCG@20', 'AP')
    """
    if relevance_level == 1 or metric.startswith("nDCG"):
        return metric
    kind, at, cutoff = metric.partition("@")
    return f"{kind}(rel={relevance_level}){at}{cutoff}"
