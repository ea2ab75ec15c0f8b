"""A study's text in pieces, its leaks, and what the models will be made of: all that needs no worker."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optical_ray.config.baselines import Control
from optical_ray.config.experiment import Experiment
from optical_ray.config.key import digest
from optical_ray.config.load import control_trial, with_params
from optical_ray.config.space import Subset, corners
from optical_ray.config.trial import SUBSET_SIGN, TrialConfig
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.prepare.cache import MANIFEST, Cache
from optical_ray.prepare.checkpoints import local_encoders
from optical_ray.prepare.first_stage import first_stage
from optical_ray.prepare.leaks import LeakCheck, leak_report
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
from optical_ray.training.mixing import mixture_of, tables_of
from optical_ray.types import InputError

SPLITS = ("eval", "test")

EMBEDDINGS_LAYOUT = 2
"""Of the teacher embeddings' files; part of their key."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Text:
    """What ``prepare_text`` made. ``tokens`` and ``leaks`` are folders by source language, one for each bitext."""

    teacher: EncoderJob
    init: EncoderJob
    same_pieces: bool
    tokens: dict[str, tuple[Path, ...]]
    leaks: dict[str, tuple[Path, ...]]
    embeddings: Path | None
    collections: tuple[Path, ...]
    digests: dict[str, Any]
    licences: dict[str, str]
    report: dict[str, Any]
    sources: tuple[CollectionSource, ...]
    """The targets' collections, in the order of ``collections``."""


def prepare_text(experiment: Experiment, storage: Path, say: Say) -> Text:
    """Make (or find) vocabulary and pieces, and look for leaks; ``say`` is told each stage.

    Raises ``InputError`` for data that cannot be used, and for a budget that some corner of the space lacks pairs for.
    """
    cache = Cache((storage / "cache").resolve())
    trial = experiment.trial
    say("reading data and vocabulary")
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
    say("cutting text into pieces")
    fingerprints = {name: experiment.data.bitext[name].fingerprint() for name in sorted(trial.data.bitext)}
    bitext = experiment.data.bitext
    shards = {
        language: tuple(bitext_shard(bitext[name], fingerprints[name], language, cache) for name in trial.data.bitext)
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
    leaks, found = _leaks(experiment, storage, shards, sources, cache)
    check_budgets(experiment, tokens, leaks)
    teacher = _encoder_job(experiment, teacher_config, pieces, cache, trained=True)
    init = teacher if same else _encoder_job(experiment, init_config, pieces, cache, trained=False)
    report = {**_report(tokens, collections), "leaks": found}
    if teacher.pairs is not None:
        report["relevance"] = read_json(teacher.pairs / MANIFEST)
    return Text(
        teacher=teacher,
        init=init,
        same_pieces=pieces.are_same,
        tokens=tokens,
        leaks=leaks,
        embeddings=_embeddings_folder(experiment, teacher, flat(tokens), cache),
        collections=collections,
        digests={"teacher": teacher.folder.name, "init": init.folder.name, "bitext": fingerprints},
        licences=_licences(experiment),
        report=report,
        sources=scored,
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
    """Where the rows to drop are listed, by language, and what the report says of them.

    Dropped is what the collections share that the study was begun with: one that is added later must not change the
    students that are there, so what it shares with their bitext is counted alone (``"later"``).
    """
    path = storage / experiment.name / "study.json"
    begun = read_json(path)["data"].get("leaks", {}).get("collections", []) if path.is_file() else None
    first = [source for source in sources if begun is None or source.target in begun]
    later = [source for source in sources if source not in first]
    names, parts = experiment.trial.data.bitext, [shard for some in shards.values() for shard in some]

    def folders(check: LeakCheck) -> dict[str, tuple[Path, ...]]:
        found = check.folders(parts)
        return {language: tuple(found[shard] for shard in some) for language, some in shards.items()}

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


def flat(tokens: dict[str, tuple[Path, ...]]) -> tuple[Path, ...]:
    """All folders, one after the other."""
    return tuple(folder for parts in tokens.values() for folder in parts)


def check_budgets(
    experiment: Experiment, tokens: dict[str, tuple[Path, ...]], leaks: dict[str, tuple[Path, ...]]
) -> None:
    """Lay out the mixture of every corner: a budget that the data does not have is refused here."""
    points = [*corners(experiment.space), *experiment.search.start_with]
    for trial in [*(with_params(experiment, dict(params)) for params in points), *_controls(experiment)]:
        try:
            tables = tables_of(trial, tokens, leaks)
            mixture_of(trial, {language: table.lengths() for language, table in tables.items()}, seed=0)
        except InputError as error:
            raise InputError(
                f"trial.data, source languages {'+'.join(trial.data.source_languages)}: {error}"
            ) from error


def _licences(experiment: Experiment) -> dict[str, str]:
    """Licence and origin of every dataset in use, as the spec says them now."""
    trained = experiment.trial.teacher_training
    return {
        **{f"bitext {name}": experiment.data.bitext[name].licence for name in experiment.trial.data.bitext},
        **{f"relevance {name}": experiment.data.relevance[name].licence for name in (trained.data if trained else ())},
        **{f"collection {target}": experiment.data.collections[target].licence for target in experiment.targets},
    }


def languages_of(experiment: Experiment) -> tuple[str, ...]:
    """Every source language that some trial of the study may read."""
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
    return EncoderJob(config, PieceTokenizerText.of(tokenizer), folder, training, pairs)


def _embeddings_folder(
    experiment: Experiment, teacher: EncoderJob, folders: tuple[Path, ...], cache: Cache
) -> Path | None:
    """Where the teacher's vectors go; ``None`` where they would pass ``compute.cache_limit``."""
    hashes, places = unique_pivots(folders)
    if teacher_pieces(folders, places) * teacher.config.width() * 2 > experiment.compute.cache_limit:
        return None
    texts = hashlib.sha256(hashes.tobytes()).hexdigest()
    return cache.folder("embeddings", digest([teacher.folder.name, texts, EMBEDDINGS_LAYOUT]))


def _report(tokens: dict[str, tuple[Path, ...]], collections: tuple[Path, ...]) -> dict[str, Any]:
    """What was read, kept and dropped, for the terminal and the report."""
    bitext = {language: [read_json(folder / MANIFEST) for folder in parts] for language, parts in tokens.items()}
    scored: dict[str, Any] = {}
    for folder in collections:
        meta = read_json(folder / "collection.json")
        scored.setdefault(meta["target"], {})[meta["split"]] = read_json(folder / MANIFEST)
    return {"bitext": bitext, "collections": scored}
