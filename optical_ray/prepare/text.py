"""Prepares what a study's trials share without workers: tokenized text, leaks, and the jobs for the models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optical_ray.config.baselines import Control
from optical_ray.config.experiment import Experiment
from optical_ray.config.key import digest, trial_key
from optical_ray.config.load import control_trial, with_params
from optical_ray.config.space import Subset, corners
from optical_ray.config.trial import SUBSET_SIGN, TrialConfig
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.checkpoints import local_encoders
from optical_ray.prepare.first_stage import first_stage
from optical_ray.prepare.leaks import LeakCheck, leak_digests, leak_report
from optical_ray.prepare.models import EncoderJob, PieceTokenizerText
from optical_ray.prepare.relevance import relevance_pieces
from optical_ray.prepare.tokens import (
    CollectionSource,
    Pieces,
    bitext_shard,
    bitext_tokens,
    collection_tokens,
    teacher_pieces,
    unique_pivots,
)
from optical_ray.prepare.vocabulary import tokenizer_of
from optical_ray.study.files import read_json
from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import MANIFEST_FILE, SPLITS, StorageFolder
from optical_ray.training.inputs import Bitext, Digests, Inputs, Models, Scoring
from optical_ray.training.mixing import build_mixture, load_pairs
from optical_ray.types import InputError

EMBEDDINGS_LAYOUT = 2
"""Version of the teacher embeddings' files; part of their key."""

OnStage = Callable[[str], None]
"""Called with the name of each stage of the work."""


@dataclass(frozen=True)
class Preparation:
    """What a study's trials share: their inputs, the jobs that make the models, and counts.

    ``sources`` are the targets' collections, in the order of ``inputs.scoring.collections``; ``licences`` name the
    origin of each dataset; ``report`` counts what was read, kept and dropped.
    """

    inputs: Inputs
    teacher: EncoderJob
    initial_student: EncoderJob
    sources: tuple[CollectionSource, ...]
    licences: dict[str, str]
    report: dict[str, Any]

    def trial_key(self, trial: TrialConfig, seed: int) -> str:
        """Return the trial's key: the digest of its configuration, its data and its seed."""
        languages, bitext, digests = trial.data.source_languages, self.inputs.bitext, self.inputs.digests
        dropped = leak_digests(bitext.leaks, languages) if trial.data.leaks == "drop" else {}
        content = {"teacher": digests.teacher, "init": digests.initial_student, "bitext": digests.bitext}
        return trial_key(trial, seed, digests=content, dropped=dropped)


def prepare_text(experiment: Experiment, storage: Path, on_stage: OnStage) -> Preparation:
    """Build the vocabulary and the tokenized text, unless they are in the cache, and search for leaks.

    Raises ``InputError`` for data that cannot be used, and if the budget of a corner of the space exceeds its pairs.
    """
    cache = Cache(StorageFolder(storage).cache.resolve())
    trial = experiment.trial
    on_stage("reading data and vocabulary")
    same = trial.student.init == "teacher"
    teacher_config, init_config = local_encoders(trial, cache)
    languages = languages_of(experiment)
    teacher_tokenizer = tokenizer_of(teacher_config, experiment, cache, languages)
    pieces = Pieces(
        student=teacher_tokenizer if same else tokenizer_of(init_config, experiment, cache, languages),
        teacher=teacher_tokenizer,
        query_length=init_config.query_length,
        document_length=init_config.document_length,
        teacher_document_length=teacher_config.document_length,
    )
    on_stage("tokenizing text")
    datasets = experiment.data.bitext
    fingerprints = {name: datasets[name].fingerprint() for name in sorted(trial.data.bitext)}
    shards = {
        language: tuple(bitext_shard(datasets[name], fingerprints[name], language, cache) for name in trial.data.bitext)
        for language in languages
    }
    tokens = {
        language: tuple(
            bitext_tokens(shard, pieces, cache, role=trial.data.read_as, max_length=trial.data.max_length)
            for shard in parts
        )
        for language, parts in shards.items()
    }
    sources = _sources(experiment)
    scored = tuple(source for source in sources if source.target in experiment.targets)
    stage = first_stage(experiment.evaluation.first_stage)
    collections = tuple(collection_tokens(source, pieces, cache, stage) for source in scored)
    leaks, leak_counts = _leaks(experiment, storage, shards, sources, cache)
    bitext = Bitext(tokens, leaks)
    check_budgets(experiment, bitext)
    teacher = _encoder_job(experiment, teacher_config, pieces, cache, trained=True)
    init = teacher if same else _encoder_job(experiment, init_config, pieces, cache, trained=False)
    report = {**_report(tokens, collections), "leaks": leak_counts}
    if teacher.pairs is not None:
        report["relevance"] = read_json(teacher.pairs / MANIFEST_FILE)
    embeddings = _embeddings_folder(experiment, teacher, bitext.folders, cache)
    return Preparation(
        inputs=Inputs(
            models=Models(teacher.folder, init.folder, embeddings, share_tokenizer=pieces.are_same),
            bitext=bitext,
            scoring=Scoring(collections, experiment.evaluation.metrics, experiment.evaluation.documents),
            digests=Digests(teacher.folder.name, init.folder.name, fingerprints),
        ),
        teacher=teacher,
        initial_student=init,
        sources=scored,
        licences=_licences(experiment),
        report=report,
    )


def _sources(experiment: Experiment) -> list[CollectionSource]:
    """Every split of every collection that the spec names, scored or not."""
    return [
        CollectionSource(target, dataset, fingerprint, split)
        for target, dataset in experiment.data.collections.items()
        for fingerprint in [dataset.fingerprint()]
        for split in SPLITS
    ]


def _leaks(
    experiment: Experiment,
    storage: Path,
    shards: dict[str, tuple[Path, ...]],
    sources: Sequence[CollectionSource],
    cache: Cache,
) -> tuple[dict[str, tuple[Path, ...]], dict[str, Any]]:
    """The folders that list the rows to drop, by language, and the counts for the report.

    Only the collections of the study's first launch determine what is dropped. A collection that is added later must
    not change existing students, so that its leaks are only counted (``"later"``).
    """
    folder = StorageFolder(storage).study(experiment.name)
    initial = StudyInfo.read(folder.path).data["leaks"]["collections"] if folder.info.is_file() else None
    first = [source for source in sources if initial is None or source.target in initial]
    later = [source for source in sources if source not in first]
    names, parts = experiment.trial.data.bitext, [shard for group in shards.values() for shard in group]

    def folders(check: LeakCheck) -> dict[str, tuple[Path, ...]]:
        leak_folders = check.folders(parts)
        return {language: tuple(leak_folders[shard] for shard in group) for language, group in shards.items()}

    check = LeakCheck(first, cache)
    leaks = folders(check)
    report = leak_report(names, leaks, check)
    if experiment.trial.teacher_training:
        teacher = {name: experiment.data.relevance[name] for name in experiment.trial.teacher_training.data}
        report["teacher"] = {name: check.relevance(data, data.fingerprint()) for name, data in teacher.items()}
    if later:
        added = LeakCheck(later, cache)
        report["later"] = leak_report(names, folders(added), added)
    return leaks, report


def check_budgets(experiment: Experiment, bitext: Bitext) -> None:
    """Build the mixture of every corner of the space; raises ``InputError`` for a budget that exceeds the data."""
    points = [*corners(experiment.space), *experiment.search.start_with]
    for trial in [*(with_params(experiment, dict(params)) for params in points), *_controls(experiment)]:
        try:
            tables = load_pairs(trial, bitext)
            build_mixture(trial, {language: table.lengths() for language, table in tables.items()}, seed=0)
        except InputError as error:
            languages = "+".join(trial.data.source_languages)
            raise InputError(f"trial.data, source languages {languages}: {error}") from error


def _licences(experiment: Experiment) -> dict[str, str]:
    """The licence and origin of every dataset in use, from the current spec."""
    trained = experiment.trial.teacher_training
    return {
        **{f"bitext {name}": experiment.data.bitext[name].licence for name in experiment.trial.data.bitext},
        **{f"relevance {name}": experiment.data.relevance[name].licence for name in (trained.data if trained else ())},
        **{f"collection {target}": experiment.data.collections[target].licence for target in experiment.targets},
    }


def languages_of(experiment: Experiment) -> tuple[str, ...]:
    """Return every source language that a trial of the study may read."""
    languages = set(experiment.trial.data.source_languages)
    dimension = experiment.space.get("data.source_languages")
    if dimension is not None:
        labels = dimension.of if isinstance(dimension, Subset) else map(str, dimension.grid())
        languages = {language for label in labels for language in label.split(SUBSET_SIGN)}
    return tuple(sorted(languages.union(*(trial.data.source_languages for trial in _controls(experiment)))))


def _controls(experiment: Experiment) -> list[TrialConfig]:
    return [control_trial(experiment, name) for name, b in experiment.baselines.items() if isinstance(b, Control)]


def _encoder_job(
    experiment: Experiment, config: EncoderConfig, pieces: Pieces, cache: Cache, *, trained: bool
) -> EncoderJob:
    training = experiment.trial.teacher_training if trained else None
    tokenizer = pieces.teacher if trained else pieces.student
    pairs = None
    content: dict[str, Any] = {"encoder": config.identity(), "tokenizer": tokenizer.digest, "training": training}
    if training is not None:
        pairs = relevance_pieces(experiment, config, pieces.teacher, cache)
        content["pairs"] = pairs.name
    folder = cache.folder("encoder", digest(content))
    return EncoderJob(config, PieceTokenizerText.from_tokenizer(tokenizer), folder, training, pairs)


def _embeddings_folder(
    experiment: Experiment, teacher: EncoderJob, folders: tuple[Path, ...], cache: Cache
) -> Path | None:
    """The folder of the teacher's embeddings, or None if they would exceed ``compute.cache_limit``."""
    hashes, locations = unique_pivots(folders)
    if teacher_pieces(folders, locations) * teacher.config.width() * 2 > experiment.compute.cache_limit:
        return None
    texts = hashlib.sha256(hashes.tobytes()).hexdigest()
    return cache.folder("embeddings", digest([teacher.folder.name, texts, EMBEDDINGS_LAYOUT]))


def _report(tokens: dict[str, tuple[Path, ...]], collections: tuple[Path, ...]) -> dict[str, Any]:
    """The counts of read, kept and dropped texts, for the terminal and the report."""
    bitext = {language: [read_json(folder / MANIFEST_FILE) for folder in parts] for language, parts in tokens.items()}
    scored: dict[str, Any] = {}
    for folder in collections:
        meta = read_json(folder / "collection.json")
        scored.setdefault(meta["target"], {})[meta["split"]] = read_json(folder / MANIFEST_FILE)
    return {"bitext": bitext, "collections": scored}
