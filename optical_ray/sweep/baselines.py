"""The study's baselines: those that workers make are made here, one after the other; none is made twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from ray.train import TrainingFailedError

from optical_ray.config.baselines import Control, TeacherTopics
from optical_ray.config.experiment import Experiment
from optical_ray.config.load import control_trial
from optical_ray.prepare.baselines import BaselineFolder, scored_on
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.study import Prepared
from optical_ray.prepare.text import Say, Text
from optical_ray.prepare.tokens import Pieces, collection_tokens
from optical_ray.prepare.topics import topic_texts, topics_digest, translated
from optical_ray.sweep.cluster import workers_of
from optical_ray.sweep.rescore import RescoringJob, score_students
from optical_ray.training.driver import fit
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
    trial, seed = control_trial(experiment, name), experiment.seed
    place = BaselineFolder.of(folder, name, [control.kind, prepared.key(trial, seed)])
    done, train = scored_on(experiment, text), folder / "train"
    if place.has(done):
        return
    workers = workers_of(experiment.compute)
    student = place.folder / "student"
    run = f"baseline-{name}"
    try:
        if (student / "encoder.json").is_file() and (place.folder / "scores.json").is_file():
            job = RescoringJob(((student, place.folder),), prepared.scoring(experiment), prepared.teacher)
            fit(score_students, job, name=f"rescore-{name}", folder=train, workers=workers)
        else:
            place.say("RUNNING")
            distillation = replace(
                prepared.job(experiment, trial, seed, place.folder, logged_step=0), control=control.kind
            )
            last = fit(distil, distillation, name=run, folder=train, workers=workers)
            if "failed" in last:
                place.say("FAIL", error=last["failed"])
                return
    except TrainingFailedError as error:
        place.say("FAIL", error=str(error).strip().splitlines()[-1])
        return
    place.say("COMPLETE", done)
    for finished in (run, f"rescore-{name}"):
        shutil.rmtree(train / finished, ignore_errors=True)


def _score_teacher(
    experiment: Experiment, text: Text, prepared: Prepared, folder: Path, name: str, baseline: TeacherTopics
) -> None:
    place = BaselineFolder.of(folder, name, [baseline.language, prepared.digests["teacher"]])
    done = {**scored_on(experiment, text), "files": [topics_digest(source, baseline) for source in text.sources]}
    if place.has(done):
        return
    encoder = text.teacher
    lengths = encoder.config.query_length, encoder.config.document_length
    pieces, cache = Pieces.of_one(encoder.tokenizer.open(), *lengths), Cache(encoder.folder.parent)
    collections = []
    for source in text.sources:
        texts = topic_texts(source, baseline, f"baselines.{name}")
        if texts is not None:
            collections.append(collection_tokens(translated(source, texts, baseline.language), pieces, cache))
    scoring = ScoringJob(tuple(collections), experiment.evaluation.metrics, "student")
    job = RescoringJob(((prepared.teacher, place.folder),), scoring, prepared.teacher)
    shutil.rmtree(place.folder, ignore_errors=True)
    run = f"baseline-{name}"
    fit(score_students, job, name=run, folder=folder / "train", workers=workers_of(experiment.compute))
    shutil.rmtree(folder / "train" / run, ignore_errors=True)
    place.say("COMPLETE", done)
