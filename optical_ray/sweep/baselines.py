"""The study's baselines: those that workers make are made here, one after the other; none is made twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.train import TrainingFailedError

from optical_ray.config.baselines import Control, TeacherTopics
from optical_ray.config.experiment import Experiment
from optical_ray.config.load import control_trial
from optical_ray.encoders.checkpoint_files import has_checkpoint
from optical_ray.evaluate import write_mean
from optical_ray.prepare.baselines import BaselineFolder, scored_on
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.study import Prepared
from optical_ray.prepare.text import Say, Text
from optical_ray.prepare.tokens import Pieces, collection_tokens
from optical_ray.prepare.topics import topic_texts, topics_digest, translated
from optical_ray.study.files import read_json, write_json
from optical_ray.sweep.cluster import workers_of
from optical_ray.sweep.rescore import RescoringJob, score_students
from optical_ray.training.driver import Workers, fit
from optical_ray.training.loop import ScoringJob, distil


def add_baselines(experiment: Experiment, text: Text, prepared: Prepared, folder: Path, say: Say) -> None:
    """Make what is missing of the baselines that need workers; a control that fails says so, the study goes on."""
    for name, baseline in experiment.baselines.items():
        if isinstance(baseline, Control):
            say(f"baseline {name}")
            _distil_control(experiment, text, prepared, folder, name, baseline)
        elif isinstance(baseline, TeacherTopics):
            _score_teacher(experiment, text, prepared, folder, name, baseline)


def _distil_control(
    experiment: Experiment, text: Text, prepared: Prepared, folder: Path, name: str, control: Control
) -> None:
    """One student for every seed of the trials; the baseline's scores are their means, topic by topic."""
    trial = control_trial(experiment, name)
    place = BaselineFolder.of(folder, name, [control.kind, prepared.key(trial, experiment.seed)])
    done = {**scored_on(experiment, text), "seeds": list(experiment.seeds)}
    if place.has(done):
        return
    place.say("RUNNING")
    for old in ("scores.json", "per_query.parquet"):
        (place.folder / old).unlink(missing_ok=True)
    try:
        parts = _students(experiment, prepared, folder / "train", place, control, scored_on(experiment, text))
    except FloatingPointError as error:
        place.say("FAIL", error=str(error))
    except TrainingFailedError as error:
        place.say("FAIL", error=str(error).strip().splitlines()[-1])
    else:
        write_mean(place.folder, parts)
        place.say("COMPLETE", done)


def _students(
    experiment: Experiment,
    prepared: Prepared,
    train: Path,
    place: BaselineFolder,
    control: Control,
    done: dict[str, Any],
) -> list[Path]:
    """The folder of every seed's student, scored as ``done`` says, which each notes in ``done.json``.

    Those whose weights are there are scored on what is new, the others distilled.
    """
    workers = workers_of(experiment.compute)
    parts = {seed: place.folder / f"seed-{seed}" for seed in experiment.seeds}
    left = {seed: part for seed, part in parts.items() if not _says(part, done)}
    known = [part for part in left.values() if has_checkpoint(part / "student")]
    if known:
        encoders = tuple((part / "student", part) for part in known)
        rescoring = RescoringJob(encoders, prepared.scoring(experiment), prepared.teacher)
        _fit_once(score_students, rescoring, f"rescore-{place.name}", train, workers)
    trial = control_trial(experiment, place.name)
    for seed, part in left.items():
        if part not in known:
            job = replace(prepared.job(experiment, trial, seed, part, logged_step=0), control=control.kind)
            last = _fit_once(distil, job, f"baseline-{place.name}-{seed}", train, workers)
            if "failed" in last:
                raise FloatingPointError(last["failed"])
        write_json(part / "done.json", done)
    return list(parts.values())


def _says(part: Path, done: dict[str, Any]) -> bool:
    path = part / "done.json"
    return path.is_file() and read_json(path) == done


def _fit_once(loop: Any, job: Any, name: str, train: Path, workers: Workers) -> dict[str, Any]:
    """Run and clear what Ray Train keeps of it."""
    last = fit(loop, job, name=name, folder=train, workers=workers)
    shutil.rmtree(train / name, ignore_errors=True)
    return last


def _score_teacher(
    experiment: Experiment, text: Text, prepared: Prepared, folder: Path, name: str, baseline: TeacherTopics
) -> None:
    place = BaselineFolder.of(folder, name, [baseline.language, prepared.digests["teacher"]])
    done = {**scored_on(experiment, text), "files": [topics_digest(source, baseline) for source in text.sources]}
    if place.has(done):
        return
    encoder = text.teacher
    lengths = encoder.config.query_length, encoder.config.document_length
    pieces, cache = Pieces.from_tokenizer(encoder.tokenizer.open(), *lengths), Cache(encoder.folder.parent)
    collections = []
    for source in text.sources:
        texts = topic_texts(source, baseline, f"baselines.{name}")
        if texts is not None:
            collections.append(collection_tokens(translated(source, texts, baseline.language), pieces, cache))
    scoring = ScoringJob(tuple(collections), experiment.evaluation.metrics, "student")
    job = RescoringJob(((prepared.teacher, place.folder),), scoring, prepared.teacher)
    shutil.rmtree(place.folder, ignore_errors=True)
    _fit_once(score_students, job, f"baseline-{name}", folder / "train", workers_of(experiment.compute))
    place.say("COMPLETE", done)
