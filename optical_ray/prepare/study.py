"""Runs the workers' part of the preparation, and writes the files that the report reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from optical_ray.config.experiment import Experiment
from optical_ray.config.key import digest
from optical_ray.metrics.trec_qrels import write_qrels
from optical_ray.prepare.cache import is_complete
from optical_ray.prepare.models import ModelsJob, build_models
from optical_ray.prepare.overlap import subword_overlap
from optical_ray.prepare.text import OnStage, Preparation
from optical_ray.study.files import read_json, write_json
from optical_ray.study.layout import MANIFEST_FILE, METRICS_FILE, SPLITS, UNDISTILLED, StudyFolder
from optical_ray.study.records import TrialState, read_scores
from optical_ray.training.context import Context

Fit = Callable[[Callable[[Context, Any], None], Any, str], None]
"""Runs a loop with its job on the study's workers, under a name."""


def prepare_models(
    experiment: Experiment, study_folder: Path, preparation: Preparation, fit: Fit, on_stage: OnStage
) -> None:
    """Let the workers build the teacher, its embeddings and the undistilled student's scores, unless they exist."""
    inputs, layout = preparation.inputs, StudyFolder(study_folder)
    undistilled = layout.baseline(UNDISTILLED)
    job = ModelsJob(
        teacher=preparation.teacher,
        initial_student=preparation.initial_student,
        tokens=inputs.bitext.folders,
        embeddings=inputs.models.embeddings,
        scoring=inputs.scoring,
        undistilled=undistilled.path.resolve(),
    )
    if _missing(job, experiment):
        on_stage("teacher, its embeddings, the undistilled student")
        collections = [folder.name for folder in inputs.scoring.collections]
        fit(build_models, job, "prepare-" + digest([inputs.digests, collections, inputs.scoring.metrics]))
    key = digest([UNDISTILLED, inputs.digests.initial_student])
    undistilled.path.mkdir(parents=True, exist_ok=True)
    write_json(undistilled.baseline, {"name": UNDISTILLED, "key": key, "state": TrialState.COMPLETE})
    teacher = preparation.teacher.folder
    content = {
        "key": digest(["teacher", inputs.digests.teacher]),
        "state": TrialState.COMPLETE,
        "created": (teacher / MANIFEST_FILE).stat().st_mtime,
        "rows": os.path.relpath(teacher / METRICS_FILE, study_folder),
    }
    write_json(layout.teacher, content)
    _write_topics(layout, inputs.scoring.collections)
    write_json(layout.overlap, subword_overlap(experiment, preparation))


def _missing(job: ModelsJob, experiment: Experiment) -> bool:
    """Whether something has to be built."""
    folders = [job.teacher.folder, job.initial_student.folder, *([job.embeddings] if job.embeddings else [])]
    if not all(is_complete(folder) for folder in folders):
        return True
    scores = read_scores(job.undistilled)
    expected = [(s, m, t) for s in SPLITS for m in job.scoring.metrics for t in experiment.targets]
    return not all(target in scores.get(split, {}).get(metric, {}) for split, metric, target in expected)


def _write_topics(layout: StudyFolder, collections: tuple[Path, ...]) -> None:
    """Write the topics' texts and groups for the report, and the qrels for other evaluators."""
    rows = []
    for folder in collections:
        meta = read_json(folder / "collection.json")
        rows += [
            {
                "split": meta["split"],
                "target": meta["target"],
                "topic_id": topic_id,
                "text": text,
                "group": meta["groups"].get(topic_id),
            }
            for topic_id, text in zip(meta["topic_ids"], meta["topics"], strict=True)
        ]
        write_qrels(layout.qrels(meta["target"], meta["split"]), meta["grades"])
    schema = pa.schema([(name, pa.string()) for name in ("split", "target", "topic_id", "text", "group")])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), layout.topics, compression="zstd")
