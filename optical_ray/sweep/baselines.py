"""The baselines that need workers: controls, and the teacher on topics in its own language."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ray.train import TrainingFailedError

from optical_ray.config.baselines import Control, TeacherTopics
from optical_ray.config.load import control_trial
from optical_ray.encoders.checkpoint_files import has_checkpoint
from optical_ray.evaluate import write_mean
from optical_ray.prepare.baselines import BaselineFolder, scored_on
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.text import OnStage
from optical_ray.prepare.tokens import Pieces, collection_tokens
from optical_ray.prepare.topics import topic_texts, topics_digest, translated
from optical_ray.study.events import Failed, from_report
from optical_ray.study.files import read_json, write_json
from optical_ray.study.layout import ResultFolder
from optical_ray.study.records import TrialState
from optical_ray.sweep.cluster import workers_of
from optical_ray.sweep.open_study import OpenStudy
from optical_ray.sweep.rescore import RescoringJob, score_students
from optical_ray.training.driver import fit
from optical_ray.training.inputs import Scoring
from optical_ray.training.loop import distil


def add_baselines(study: OpenStudy, on_stage: OnStage) -> None:
    """Make the missing baselines. The study goes on if a control fails; its folder then states the reason."""
    for name, baseline in study.experiment.baselines.items():
        if isinstance(baseline, Control):
            on_stage(f"baseline {name}")
            _distil_control(study, name, baseline)
        elif isinstance(baseline, TeacherTopics):
            _score_teacher(study, name, baseline)


def _distil_control(study: OpenStudy, name: str, control: Control) -> None:
    """Distil one student per seed; the baseline's scores are their means, topic by topic."""
    experiment = study.experiment
    trial = control_trial(experiment, name)
    keys = {seed: study.preparation.trial_key(trial, seed) for seed in experiment.seeds}
    folder = BaselineFolder.open(study.ledger.folder, name, [control.kind, keys[experiment.seed]])
    scored = scored_on(experiment, study.preparation)
    done = {**scored, "seeds": list(experiment.seeds)}
    if folder.is_done(done):
        return
    folder.write(TrialState.RUNNING)
    for path in (folder.results.scores, folder.results.per_query):
        path.unlink(missing_ok=True)
    try:
        parts = _score_seeds(study, folder, control, keys, scored)
    except FloatingPointError as error:
        folder.write(TrialState.FAIL, error=str(error))
    except TrainingFailedError as error:
        folder.write(TrialState.FAIL, error=str(error).strip().splitlines()[-1])
    else:
        write_mean(folder.results.path, [part.path for part in parts])
        folder.write(TrialState.COMPLETE, done)


def _score_seeds(
    study: OpenStudy, folder: BaselineFolder, control: Control, keys: Mapping[int, str], scored: dict[str, Any]
) -> list[ResultFolder]:
    """The folder of every seed's student, scored as ``scored`` states, which each folder repeats in ``done.json``.

    Students that exist are scored on what is new; the others are distilled.
    """
    parts = {seed: folder.results.seed(seed) for seed in keys}
    unscored = {seed: part for seed, part in parts.items() if not _is_scored(part, scored)}
    trained = [part for part in unscored.values() if has_checkpoint(part.student)]
    if trained:
        encoders = tuple((part.student, part.path) for part in trained)
        rescoring = RescoringJob(encoders, study.inputs.scoring, study.inputs.models.teacher)
        _fit_once(study, score_students, rescoring, f"rescore-{folder.name}-{folder.key}")
    trial = control_trial(study.experiment, folder.name)
    for seed, part in unscored.items():
        if part not in trained:
            job = replace(study.trial_job(trial, seed, keys[seed], part.path), control=control.kind)
            event = from_report(_fit_once(study, distil, job, f"baseline-{folder.name}-{control.kind}-{keys[seed]}"))
            if isinstance(event, Failed):
                raise FloatingPointError(event.reason)
        write_json(part.path / "done.json", scored)
    return list(parts.values())


def _is_scored(part: ResultFolder, scored: dict[str, Any]) -> bool:
    path = part.path / "done.json"
    return path.is_file() and bool(read_json(path) == scored)


def _fit_once(study: OpenStudy, loop: Any, job: Any, name: str) -> dict[str, Any]:
    """Run ``loop`` and remove what Ray Train keeps of the run."""
    train = study.layout.train
    last = fit(loop, job, name=name, folder=train, workers=workers_of(study.experiment.compute))
    shutil.rmtree(train / name, ignore_errors=True)
    return last


def _score_teacher(study: OpenStudy, name: str, baseline: TeacherTopics) -> None:
    experiment, preparation, models = study.experiment, study.preparation, study.inputs.models
    folder = BaselineFolder.open(study.ledger.folder, name, [baseline.language, study.inputs.digests.teacher])
    files = [topics_digest(source, baseline) for source in preparation.sources]
    done = {**scored_on(experiment, preparation), "files": files}
    if folder.is_done(done):
        return
    encoder = preparation.teacher
    lengths = encoder.config.query_length, encoder.config.document_length
    pieces, cache = Pieces.from_tokenizer(encoder.tokenizer.open(), *lengths), Cache(encoder.folder.parent)
    collections = []
    for source in preparation.sources:
        texts = topic_texts(source, baseline, f"baselines.{name}")
        if texts is not None:
            collections.append(collection_tokens(translated(source, texts, baseline.language), pieces, cache))
    scoring = Scoring(tuple(collections), experiment.evaluation.metrics, "student")
    job = RescoringJob(((models.teacher, folder.results.path),), scoring, models.teacher)
    shutil.rmtree(folder.results.path, ignore_errors=True)
    _fit_once(study, score_students, job, f"baseline-{name}-{folder.key}")
    folder.write(TrialState.COMPLETE, done)
