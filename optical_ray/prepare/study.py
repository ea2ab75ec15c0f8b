"""Everything that a study needs before its first trial, from the cache where it is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from optical_ray.config.experiment import Experiment
from optical_ray.config.key import canonical, digest
from optical_ray.config.load import with_params
from optical_ray.config.space import Subset, corners
from optical_ray.config.trial import SUBSET_SIGN, TrialConfig
from optical_ray.data.ragged import Ragged, RaggedWriter
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.prepare.cache import MANIFEST, Cache
from optical_ray.prepare.models import ROWS, EncoderJob, ModelsJob, PieceTokenizerText, build_models
from optical_ray.prepare.tokens import Pieces, bitext_tokens, collection_tokens, unique_pivots
from optical_ray.prepare.vocabulary import tokenizer_of
from optical_ray.storage import read_json, write_json
from optical_ray.training.batches import BitextTokens
from optical_ray.training.context import Context
from optical_ray.training.loop import DistillationJob, ScoringJob
from optical_ray.training.mixing import mixture_of
from optical_ray.types import InputError, RelevancePair

SPLITS = ("eval", "test")

Fit = Callable[[Callable[[Context, Any], None], Any, str], None]
"""Run a loop with its job on the study's workers, under a name."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """Where all that trials share lies, and the digests that their keys are made of."""

    teacher: Path
    init: Path
    same_pieces: bool
    tokens: dict[str, tuple[Path, ...]]
    embeddings: Path | None
    collections: tuple[Path, ...]
    digests: dict[str, Any]

    def key(self, trial: TrialConfig, seed: int) -> str:
        """The trial's key: its whole configuration, its data and its seed, and nothing else."""
        config = canonical(trial)
        config["teacher"] = config["teacher_training"] = None  # both are in the teacher's digest
        config["student"] = {**config["student"], "init": self.digests["init"]}
        return digest({"trial": config, "digests": self.digests, "seed": seed})

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


@dataclass(frozen=True)
class Text:
    """The study's text in pieces, and what the models will be made of: all that needs no worker."""

    teacher: EncoderJob
    init: EncoderJob
    same_pieces: bool
    tokens: dict[str, tuple[Path, ...]]
    embeddings: Path | None
    collections: tuple[Path, ...]
    digests: dict[str, Any]
    licences: dict[str, str]
    report: dict[str, Any]


def prepare_text(experiment: Experiment, storage: Path, say: Say) -> Text:
    """Make (or find) vocabulary and pieces; ``say`` is told each stage.

    Raises ``InputError`` for data that cannot be used, and for a budget that some corner of the space lacks pairs for.
    """
    cache = Cache((storage / "cache").resolve())
    trial = experiment.trial
    say("reading data and vocabulary")
    same = trial.student.init == "teacher"
    init_config: EncoderConfig = trial.teacher if trial.student.init == "teacher" else trial.student.init
    teacher_tokenizer = tokenizer_of(trial.teacher, experiment, cache)
    pieces = Pieces(
        student=teacher_tokenizer if same else tokenizer_of(init_config, experiment, cache),
        teacher=teacher_tokenizer,
        query_length=init_config.query_length,
        document_length=init_config.document_length,
        teacher_document_length=trial.teacher.document_length,
    )
    say("cutting text into pieces")
    tokens = {language: _language(experiment, language, pieces, cache) for language in languages_of(experiment)}
    _check_budgets(experiment, tokens)
    collections = tuple(
        collection_tokens(target, experiment.data.collections[target], split, pieces, cache)
        for target in experiment.targets
        for split in SPLITS
    )
    teacher = _encoder_job(experiment, trial.teacher, pieces, cache, trained=True)
    init = teacher if same else _encoder_job(experiment, init_config, pieces, cache, trained=False)
    report = _report(tokens, collections)
    return Text(
        teacher=teacher,
        init=init,
        same_pieces=pieces.are_same,
        tokens=tokens,
        embeddings=_embeddings_folder(experiment, teacher, _flat(tokens), cache),
        collections=collections,
        digests={
            "teacher": teacher.folder.name,
            "init": init.folder.name,
            "bitext": {name: experiment.data.bitext[name].fingerprint() for name in sorted(trial.data.bitext)},
        },
        licences=_licences(experiment, report),
        report=report,
    )


def prepare_models(experiment: Experiment, study_folder: Path, text: Text, fit: Fit, say: Say) -> Prepared:
    """Let the workers make (or find) the teacher, its embeddings and the undistilled student's scores."""
    scoring = ScoringJob(text.collections, experiment.evaluation.metrics, experiment.evaluation.documents)
    undistilled = (study_folder / "baselines" / "undistilled").resolve()
    job = ModelsJob(text.teacher, text.init, _flat(text.tokens), text.embeddings, scoring, undistilled)
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
    return Prepared(
        teacher=text.teacher.folder,
        init=text.init.folder,
        same_pieces=text.same_pieces,
        tokens=text.tokens,
        embeddings=text.embeddings,
        collections=text.collections,
        digests=text.digests,
    )


def _flat(tokens: dict[str, tuple[Path, ...]]) -> tuple[Path, ...]:
    return tuple(folder for parts in tokens.values() for folder in parts)


def _check_budgets(experiment: Experiment, tokens: dict[str, tuple[Path, ...]]) -> None:
    """Lay out the mixture of every corner: a budget that the data does not have is refused here."""
    lengths = {language: BitextTokens(folders).lengths() for language, folders in tokens.items()}
    for params in [*corners(experiment.space), *experiment.search.start_with]:
        trial = with_params(experiment, dict(params))
        try:
            mixture_of(trial, {language: lengths[language] for language in trial.data.source_languages}, seed=0)
        except InputError as error:
            raise InputError(
                f"trial.data, source languages {'+'.join(trial.data.source_languages)}: {error}"
            ) from error


def _licences(experiment: Experiment, report: dict[str, Any]) -> dict[str, str]:
    """Licence and origin of every dataset in use."""
    bitext = {name: experiment.data.bitext[name].licence for name in experiment.trial.data.bitext}
    collections = {target: splits[SPLITS[-1]]["licence"] for target, splits in report["collections"].items()}
    return {
        **{f"bitext {name}": text for name, text in bitext.items()},
        **{f"collection {t}": x for t, x in collections.items()},
    }


def languages_of(experiment: Experiment) -> tuple[str, ...]:
    """Every source language that some trial of the study may read."""
    languages = set(experiment.trial.data.source_languages)
    dimension = experiment.space.get("data.source_languages")
    if dimension is not None:
        labels = dimension.of if isinstance(dimension, Subset) else map(str, dimension.grid())
        languages = {language for label in labels for language in label.split(SUBSET_SIGN)}
    return tuple(sorted(languages))


def _language(experiment: Experiment, language: str, pieces: Pieces, cache: Cache) -> tuple[Path, ...]:
    data = experiment.trial.data
    return tuple(
        bitext_tokens(
            experiment.data.bitext[name], language, pieces, cache, role=data.read_as, max_length=data.max_length
        )
        for name in data.bitext
    )


def _encoder_job(
    experiment: Experiment, config: EncoderConfig, pieces: Pieces, cache: Cache, *, trained: bool
) -> EncoderJob:
    training = experiment.trial.teacher_training if trained else None
    tokenizer = pieces.teacher if trained else pieces.student
    pairs = None
    content: dict[str, Any] = {"encoder": config.identity(), "tokenizer": tokenizer.digest, "training": training}
    if training is not None:
        pairs = _relevance_pairs(experiment, config, pieces, cache)
        content["pairs"] = pairs.name
    folder = cache.folder("encoder", digest(content))
    return EncoderJob(config, PieceTokenizerText.of(tokenizer), folder, training, pairs)


def _relevance_pairs(experiment: Experiment, config: EncoderConfig, pieces: Pieces, cache: Cache) -> Path:
    """The teacher's training pairs in pieces."""
    training = experiment.trial.teacher_training
    assert training is not None
    datasets = [experiment.data.relevance[name] for name in training.data]
    lengths = (config.query_length, config.document_length)
    key = digest([[dataset.fingerprint() for dataset in datasets], pieces.teacher.digest, lengths])

    def build(folder: Path) -> dict[str, object]:
        with RaggedWriter(folder, "queries", np.int32) as queries, RaggedWriter(folder, "documents", np.int32) as docs:
            count = 0
            for some in _chunks(pair for dataset in datasets for pair in dataset.pairs()):
                queries.append(pieces.teacher.encode([pair.query for pair in some], "query", lengths[0]).ids)
                docs.append(pieces.teacher.encode([pair.document for pair in some], "document", lengths[1]).ids)
                count += len(some)
        return {"pairs": count}

    return cache.entry("relevance", key, build)


def _chunks(pairs: Iterator[RelevancePair], size: int = 8192) -> Iterator[list[RelevancePair]]:
    some: list[RelevancePair] = []
    for pair in pairs:
        some.append(pair)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _embeddings_folder(
    experiment: Experiment, teacher: EncoderJob, folders: tuple[Path, ...], cache: Cache
) -> Path | None:
    """Where the teacher's vectors go; ``None`` where they would pass ``compute.cache_limit``."""
    hashes, places = unique_pivots(folders)
    lengths = [Ragged.open(folder, "teacher").lengths for folder in folders]
    dim = getattr(teacher.config, "dim", None) or 1024
    size = sum(int(lengths[part][row]) for part, row in places) * dim * 2
    if size > experiment.compute.cache_limit:
        return None
    return cache.folder("embeddings", digest([teacher.folder.name, digest([int(value) for value in hashes])]))


def _missing(job: ModelsJob, experiment: Experiment) -> bool:
    """Whether the workers have anything to make."""
    folders = [job.teacher.folder, job.init.folder, *([job.embeddings] if job.embeddings else [])]
    if not all((folder / MANIFEST).is_file() for folder in folders):
        return True
    path = job.undistilled / "scores.json"
    scores = read_json(path) if path.is_file() else {}
    wanted = [(s, m, t) for s in SPLITS for m in job.scoring.metrics for t in experiment.targets]
    return not all(target in scores.get(split, {}).get(metric, {}) for split, metric, target in wanted)


def _report(tokens: dict[str, tuple[Path, ...]], collections: tuple[Path, ...]) -> dict[str, Any]:
    """What was read, kept and dropped, for the terminal and the report."""
    bitext = {language: [read_json(folder / MANIFEST) for folder in parts] for language, parts in tokens.items()}
    scored: dict[str, Any] = {}
    for folder in collections:
        meta = read_json(folder / "collection.json")
        scored.setdefault(meta["target"], {})[meta["split"]] = read_json(folder / MANIFEST)
    return {"bitext": bitext, "collections": scored}


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
