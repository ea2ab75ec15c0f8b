"""The tidy form of a finished or running study: systems x seeds x topics, per split and target.

Legend of array shapes: ``C`` systems (configurations), ``R`` seeds (replicates), ``T`` topics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ENGLISH_ONLY = "undistilled"
"""The baseline that every gain is measured against: the student before any distillation."""

BASELINE_NAMES = {
    ENGLISH_ONLY: "English-only (undistilled)",
    "en": "control: English bitext onto itself",
    "shuffled": "control: shuffled pairs",
    "bm25": "BM25",
    "teacher_english": "teacher on English topics",
    "nmt": "machine-translated topics",
}


def baseline_name(name: str) -> str:
    """How a baseline is called in the report."""
    return BASELINE_NAMES.get(name, name)


EVAL = "eval"
TEST = "test"


@dataclass(frozen=True)
class System:
    """One configuration (all seeds of it): what was distilled and how.

    ``variant`` names the searched choices that are no numbers and no source languages (a loss, say), "" if none.
    """

    sources: tuple[str, ...]
    variant: str
    params: Mapping[str, Any]
    keys: tuple[str, ...]

    @property
    def label(self) -> str:
        """``"de+hi"``, or ``"de+hi | mse"`` where a variant is searched too."""
        name = "+".join(self.sources)
        return f"{name} | {self.variant}" if self.variant else name


@dataclass(frozen=True)
class Panel:
    """Per-topic scores of one target on one split, on the topics that all systems share.

    ``values`` is C x R x T with NaN where a system was not trained with a seed or not scored on the target;
    ``baselines`` maps a name to T values (NaN where it lacks a topic); ``dropped`` counts topics left out because a
    system lacks them.
    """

    topics: tuple[str, ...]
    values: FloatArray
    baselines: Mapping[str, FloatArray]
    dropped: int = 0

    @cached_property
    def seed_means(self) -> FloatArray:
        """C x R: the mean over topics, NaN where there is no such run."""
        return np.asarray(self.values.mean(axis=2))

    @cached_property
    def means(self) -> FloatArray:
        """C: the mean over topics and over the seeds that are there; NaN for a system without scores."""
        return nan_mean(self.seed_means, axis=1)

    def present(self, system: int) -> FloatArray:
        """R' x T: the runs of ``system`` that are there."""
        runs: FloatArray = self.values[system]
        there = ~np.isnan(runs).any(axis=1)
        return np.asarray(runs[there])


@dataclass(frozen=True)
class Excluded:
    """A trial that the numbers do not hold, and why."""

    key: str
    number: int
    label: str
    seed: int
    state: str
    reason: str


@dataclass(frozen=True)
class Study:
    """Everything that the analysis reads, and nothing it computes.

    ``metric`` is the measure analysed per topic (``"AP"``); ``seeds`` the columns of every panel; ``about`` the
    content of ``study.json``; ``states`` counts trials by state; ``notes`` what a reader must know about the data.
    """

    folder: Path
    metric: str
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    systems: tuple[System, ...]
    panels: Mapping[tuple[str, str], Panel]
    excluded: tuple[Excluded, ...]
    about: Mapping[str, Any]
    states: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.about.get("name", self.folder.name))

    @property
    def experiment(self) -> Mapping[str, Any]:
        """The resolved spec."""
        value: Mapping[str, Any] = self.about.get("experiment", {})
        return value

    @property
    def mode(self) -> str:
        """``"estimate"`` (balanced design) or ``"optimise"`` (a search that stops where it likes)."""
        return str(self.experiment.get("search", {}).get("mode", "optimise"))

    @property
    def measure(self) -> str:
        """The name of the mean of ``metric``: ``"MAP"`` for AP."""
        return "MAP" if self.metric == "AP" else f"mean {self.metric}"

    @property
    def languages(self) -> tuple[str, ...]:
        """All source languages that a system used, sorted."""
        return tuple(sorted({language for system in self.systems for language in system.sources}))

    def test(self, target: str) -> Panel:
        """The panel that results are reported on."""
        return self.panels[TEST, target]

    def eval(self, target: str) -> Panel:
        """The panel that choices are made on (the test panel where the study has no eval split: a note says so)."""
        return self.panels.get((EVAL, target), self.panels[TEST, target])

    def holds_own(self, sources: tuple[str, ...], target: str) -> bool:
        """Whether the target's own language is among ``sources``: supervision then, not transfer."""
        return self.target_language(target) in {_base(language) for language in sources}

    def target_language(self, target: str) -> str:
        """The language of the target's collection, from the spec or from the target's name."""
        collection = self.experiment.get("data", {}).get("collections", {}).get(target, {})
        language = collection.get("language") if isinstance(collection, Mapping) else None
        return _base(str(language or target))


def _base(language: str) -> str:
    return language.replace("_", "-").split("-")[0].lower()


def nan_mean(values: FloatArray, axis: int) -> FloatArray:
    """The mean over what is there; NaN (without a warning) where nothing is."""
    there = ~np.isnan(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
