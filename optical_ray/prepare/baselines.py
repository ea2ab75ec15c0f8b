"""Baselines that need no worker: BM25, and runs of other systems."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optical_ray.config.baselines import Bm25, Control, RunFile
from optical_ray.config.experiment import Experiment
from optical_ray.config.key import digest
from optical_ray.evaluate import Evaluation, score, write_evaluation
from optical_ray.metrics.scores import parse
from optical_ray.prepare.bm25 import bm25, require_bm25s
from optical_ray.prepare.text import Preparation
from optical_ray.prepare.tokens import CollectionSource
from optical_ray.prepare.topics import run_digest, run_for, topic_texts, topics_digest
from optical_ray.ranking import RUN_DEPTH, EncodedCollection
from optical_ray.study.files import read_json, write_json
from optical_ray.study.layout import ResultFolder, StudyFolder
from optical_ray.study.records import TrialState
from optical_ray.types import InputError, Run


@dataclass(frozen=True)
class BaselineFolder:
    """The folder of a baseline; its ``baseline.json`` states under ``done`` what the scores were computed from."""

    results: ResultFolder
    name: str
    key: str

    @classmethod
    def open(cls, study_folder: Path, name: str, settings: Any) -> BaselineFolder:
        """The folder of a baseline with these settings; results of other settings are removed."""
        results = StudyFolder(study_folder.resolve()).baseline(name)
        folder = cls(results, name, digest(["baseline", name, settings]))
        if results.path.is_dir() and folder._read().get("key") != folder.key:
            shutil.rmtree(results.path)
        return folder

    def is_done(self, done: Any) -> bool:
        """Whether the baseline is complete and was computed from exactly this."""
        content = self._read()
        return content.get("state") == TrialState.COMPLETE and content.get("done") == done

    def write(self, state: TrialState, done: Any = None, error: str | None = None) -> None:
        """Write ``baseline.json``."""
        self.results.path.mkdir(parents=True, exist_ok=True)
        content = {"name": self.name, "key": self.key, "state": state.value, "done": done, "error": error}
        write_json(self.results.baseline, content)

    def _read(self) -> dict[str, Any]:
        path = self.results.baseline
        value: dict[str, Any] = read_json(path) if path.is_file() else {}
        return value


def check_baselines(experiment: Experiment, preparation: Preparation) -> None:
    """Check every file and package that the baselines name, before anything is written.

    Raises ``InputError`` for files that do not belong to the collections, and for a baseline without topics.
    """
    for name, baseline in experiment.baselines.items():
        where = f"baselines.{name}"
        if isinstance(baseline, Control):
            continue
        if isinstance(baseline, Bm25):
            require_bm25s()
        inputs = [
            run_for(source, baseline, where) if isinstance(baseline, RunFile) else topic_texts(source, baseline, where)
            for source in preparation.sources
        ]
        if not any(inputs):
            setting = "run: {...}" if isinstance(baseline, RunFile) else "topics: {...}"
            raise InputError(
                f"{where}: nothing to search with, because no target has English topics or a file. Give a file for "
                f"each target ({setting}), or leave the baseline out."
            )


def score_runs(experiment: Experiment, preparation: Preparation, study_folder: Path) -> None:
    """Score every BM25 and run-file baseline whose topics, documents, files or metrics have changed."""
    for name, baseline in experiment.baselines.items():
        if not isinstance(baseline, (Bm25, RunFile)):
            continue
        settings = baseline.model_dump(mode="json", exclude={"run", "topics"})
        folder = BaselineFolder.open(study_folder, name, settings)
        done = _origin(experiment, preparation, baseline)
        if folder.is_done(done):
            continue
        evaluation = _evaluation(experiment, preparation, name, baseline)
        shutil.rmtree(folder.results.path, ignore_errors=True)
        write_evaluation(folder.results.path, evaluation)
        folder.write(TrialState.COMPLETE, done)


def scored_on(experiment: Experiment, preparation: Preparation) -> dict[str, Any]:
    """Return what an encoder's scores depend on besides the encoder: the collections and the metrics."""
    return {
        "collections": sorted(folder.name for folder in preparation.inputs.scoring.collections),
        "metrics": _metrics(experiment),
    }


def _origin(experiment: Experiment, preparation: Preparation, baseline: Bm25 | RunFile) -> dict[str, Any]:
    files = [
        topics_digest(source, baseline) if isinstance(baseline, Bm25) else run_digest(source, baseline)
        for source in preparation.sources
    ]
    sources = [[source.target, source.split, source.fingerprint] for source in preparation.sources]
    return {"files": files, "collections": sources, "metrics": _metrics(experiment)}


def _metrics(experiment: Experiment) -> list[str]:
    return list(experiment.evaluation.metrics)


def _evaluation(experiment: Experiment, preparation: Preparation, name: str, baseline: Bm25 | RunFile) -> Evaluation:
    metrics = [parse(metric) for metric in experiment.evaluation.metrics]
    evaluation: Evaluation = {}
    for source, folder in zip(preparation.sources, preparation.inputs.scoring.collections, strict=True):
        run = _run(source, name, baseline)
        if run:
            scored = score(EncodedCollection.open(folder), run, metrics)
            evaluation.setdefault(source.split, {})[source.target] = scored
    return evaluation


def _run(source: CollectionSource, name: str, baseline: Bm25 | RunFile) -> Run | None:
    where = f"baselines.{name}"
    if isinstance(baseline, RunFile):
        return run_for(source, baseline, where)
    texts = topic_texts(source, baseline, where)
    return None if texts is None else bm25(source.collection, texts, baseline, RUN_DEPTH)
