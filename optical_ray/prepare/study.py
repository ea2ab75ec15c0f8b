"""What a study's trials share, made by its workers: models, embeddings, the undistilled student's scores."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from optical_ray.config.experiment import Experiment
from optical_ray.config.key import canonical, digest
from optical_ray.config.trial import TrialConfig
from optical_ray.prepare.cache import MANIFEST
from optical_ray.prepare.leaks import leak_digests
from optical_ray.prepare.models import ROWS, ModelsJob, build_models
from optical_ray.prepare.overlap import subword_overlap
from optical_ray.prepare.text import SPLITS, Say, Text, flat
from optical_ray.study.files import read_json, write_json
from optical_ray.training.context import Context
from optical_ray.training.loop import DistillationJob, ScoringJob

Fit = Callable[[Callable[[Context, Any], None], Any, str], None]
"""Run a loop with its job on the study's workers, under a name."""


@dataclass(frozen=True)
class Prepared:
    """Where all that trials share lies, and the digests that their keys are made of."""

    teacher: Path
    init: Path
    same_pieces: bool
    tokens: dict[str, tuple[Path, ...]]
    leaks: dict[str, tuple[Path, ...]]
    embeddings: Path | None
    collections: tuple[Path, ...]
    digests: dict[str, Any]

    def key(self, trial: TrialConfig, seed: int) -> str:
        """The trial's key: its whole configuration, its data and its seed, and nothing else.

        Dropped leaks are part of the data: which rows of its own languages are left out, where there are any.
        """
        config = canonical(trial)
        config["teacher"] = config["teacher_training"] = None  # both are in the teacher's digest
        config["student"] = {**config["student"], "init": self.digests["init"]}
        dropped = leak_digests(self.leaks, trial.data.source_languages) if trial.data.leaks == "drop" else {}
        digests = {**self.digests, "leaks": dropped} if dropped else self.digests
        return digest({"trial": config, "digests": digests, "seed": seed})

    def scoring(self, experiment: Experiment) -> ScoringJob:
        """What the study's encoders are scored on."""
        return ScoringJob(self.collections, experiment.evaluation.metrics, experiment.evaluation.documents)

    def job(
        self, experiment: Experiment, trial: TrialConfig, seed: int, folder: Path, logged_step: int
    ) -> DistillationJob:
        """The trial as a worker needs it."""
        return DistillationJob(
            key=self.key(trial, seed),
            seed=seed,
            config=trial.model_dump(mode="json"),
            teacher=self.teacher,
            init=self.init,
            tokens={language: self.tokens[language] for language in trial.data.source_languages},
            leaks={language: self.leaks[language] for language in trial.data.source_languages},
            embeddings=self.embeddings,
            same_pieces=self.same_pieces,
            scoring=self.scoring(experiment),
            objective=f"{experiment.search.objective}/mean",
            every=experiment.evaluation.every,
            checkpoint_every=experiment.checkpoint_every,
            folder=folder,
            logged_step=logged_step,
            keep_weights=experiment.compute.keep != "none",
        )


def prepare_models(experiment: Experiment, study_folder: Path, text: Text, fit: Fit, say: Say) -> Prepared:
    """Let the workers make (or find) the teacher, its embeddings and the undistilled student's scores."""
    scoring = ScoringJob(text.collections, experiment.evaluation.metrics, experiment.evaluation.documents)
    undistilled = (study_folder / "baselines" / "undistilled").resolve()
    job = ModelsJob(text.teacher, text.init, flat(text.tokens), text.embeddings, scoring, undistilled)
    if _missing(job, experiment):
        say("teacher, its embeddings, the undistilled student")
        fit(build_models, job, "prepare-" + digest([text.digests, [c.name for c in text.collections], scoring.metrics]))
    key = digest(["undistilled", text.digests["init"]])
    write_json(undistilled / "baseline.json", {"name": "undistilled", "key": key, "state": "COMPLETE"})
    teacher = {
        "key": digest(["teacher", text.digests["teacher"]]),
        "state": "COMPLETE",
        "created": (text.teacher.folder / MANIFEST).stat().st_mtime,
        "rows": os.path.relpath(text.teacher.folder / ROWS, study_folder),
    }
    write_json(study_folder / "teacher.json", teacher)
    _write_topics(study_folder, text.collections)
    write_json(study_folder / "overlap.json", subword_overlap(experiment, text))
    return Prepared(
        teacher=text.teacher.folder,
        init=text.init.folder,
        same_pieces=text.same_pieces,
        tokens=text.tokens,
        leaks=text.leaks,
        embeddings=text.embeddings,
        collections=text.collections,
        digests=text.digests,
    )


def _missing(job: ModelsJob, experiment: Experiment) -> bool:
    """Whether the workers have anything to make."""
    folders = [job.teacher.folder, job.init.folder, *([job.embeddings] if job.embeddings else [])]
    if not all((folder / MANIFEST).is_file() for folder in folders):
        return True
    path = job.undistilled / "scores.json"
    scores = read_json(path) if path.is_file() else {}
    wanted = [(s, m, t) for s in SPLITS for m in job.scoring.metrics for t in experiment.targets]
    return not all(target in scores.get(split, {}).get(metric, {}) for split, metric, target in wanted)


def _write_topics(study_folder: Path, collections: tuple[Path, ...]) -> None:
    """The texts of the topics, for the report."""
    rows = []
    for folder in collections:
        meta = read_json(folder / "collection.json")
        rows += [
            {"split": meta["split"], "target": meta["target"], "topic_id": topic_id, "text": text}
            for topic_id, text in zip(meta["topic_ids"], meta["topics"], strict=True)
        ]
    pq.write_table(pa.Table.from_pylist(rows), study_folder / "topics.parquet", compression="zstd")
