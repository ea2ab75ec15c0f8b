"""Baselines that need no worker, BM25 and runs that others made; and when a baseline has nothing left to do."""

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
from optical_ray.prepare.text import Text
from optical_ray.prepare.tokens import CollectionSource
from optical_ray.prepare.topics import run_digest, run_for, topic_texts, topics_digest
from optical_ray.ranking import RUN_DEPTH, EncodedCollection
from optical_ray.study.files import read_json, write_json
from optical_ray.types import InputError, Run


@dataclass(frozen=True)
class BaselineFolder:
    """``baselines/<name>/``: what was done there is said in ``baseline.json``, under ``done``."""

    folder: Path
    name: str
    key: str

    @classmethod
    def of(cls, study_folder: Path, name: str, settings: Any) -> BaselineFolder:
        """The folder of a baseline with these settings; one that was made with others is removed."""
        found = cls((study_folder / "baselines" / name).resolve(), name, digest(["baseline", name, settings]))
        if found.folder.is_dir() and found._said().get("key") != found.key:
            shutil.rmtree(found.folder)
        return found

    def has(self, done: Any) -> bool:
        """Whether exactly this was done, to its end."""
        said = self._said()
        return said.get("state") == "COMPLETE" and said.get("done") == done

    def say(self, state: str, done: Any = None, error: str | None = None) -> None:
        """Write ``baseline.json``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        said = {"name": self.name, "key": self.key, "state": state, "done": done, "error": error}
        write_json(self.folder / "baseline.json", said)

    def _said(self) -> dict[str, Any]:
        path = self.folder / "baseline.json"
        value: dict[str, Any] = read_json(path) if path.is_file() else {}
        return value


def check_baselines(experiment: Experiment, text: Text) -> None:
    """Look at every file and package that the baselines name, before anything is written.

    Raises ``InputError`` for files that do not belong to the collections, and for topics that nobody has.
    """
    for name, baseline in experiment.baselines.items():
        where = f"baselines.{name}"
        if isinstance(baseline, Control):
            continue
        if isinstance(baseline, Bm25):
            require_bm25s()
        found = [
            run_for(source, baseline, where) if isinstance(baseline, RunFile) else topic_texts(source, baseline, where)
            for source in text.sources
        ]
        if not any(found):
            what = "run: {...}" if isinstance(baseline, RunFile) else "topics: {...}"
            raise InputError(
                f"{where}: nothing to search with, no target has topics in English or a file of them; give a file for "
                f"each target ({what}), or leave the baseline out"
            )


def score_runs(experiment: Experiment, text: Text, study_folder: Path) -> None:
    """Score every BM25 and run-file baseline whose topics, documents, files or metrics are new."""
    for name, baseline in experiment.baselines.items():
        if not isinstance(baseline, (Bm25, RunFile)):
            continue
        settings = baseline.model_dump(mode="json", exclude={"run", "topics"})
        place = BaselineFolder.of(study_folder, name, settings)
        done = _stamp(experiment, text, baseline)
        if place.has(done):
            continue
        evaluation = _evaluation(experiment, text, name, baseline)
        shutil.rmtree(place.folder, ignore_errors=True)
        write_evaluation(place.folder, evaluation)
        place.say("COMPLETE", done)


def scored_on(experiment: Experiment, text: Text) -> dict[str, Any]:
    """What an encoder's scores depend on beside the encoder: the encoded collections and the metrics."""
    return {"collections": sorted(folder.name for folder in text.collections), "metrics": _metrics(experiment)}


def _stamp(experiment: Experiment, text: Text, baseline: Bm25 | RunFile) -> dict[str, Any]:
    files = [
        topics_digest(source, baseline) if isinstance(baseline, Bm25) else run_digest(source, baseline)
        for source in text.sources
    ]
    sources = [[source.target, source.split, source.fingerprint] for source in text.sources]
    return {"files": files, "collections": sources, "metrics": _metrics(experiment)}


def _metrics(experiment: Experiment) -> list[str]:
    return list(experiment.evaluation.metrics)


def _evaluation(experiment: Experiment, text: Text, name: str, baseline: Bm25 | RunFile) -> Evaluation:
    metrics = [parse(metric) for metric in experiment.evaluation.metrics]
    evaluation: Evaluation = {}
    for source, folder in zip(text.sources, text.collections, strict=True):
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
