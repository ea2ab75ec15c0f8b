"""A study that trains in a second: made-up languages spell English words their own way, a model has 32 dimensions."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from optical_ray.config.experiment import Experiment
from optical_ray.config.trial import TrialConfig
from optical_ray.prepare.study import prepare_models
from optical_ray.prepare.text import Preparation, prepare_text
from optical_ray.study.records import Ledger
from optical_ray.sweep.description import describe
from optical_ray.sweep.open_study import OpenStudy
from optical_ray.training.context import Context, LocalContext
from optical_ray.training.loop import DistillationJob

TEXT = """
river bread stone cloud horse green seven night water friend paper winter hand moon field bird salt road
house sleep small voice table fire wind market sugar early music silver garden mother
"""
WORDS = TEXT.split()
SOURCES = ("de", "hi", "mr")
TARGETS = ("so", "sw")
NUM_PAIRS = 64
NUM_TOPICS = 12


def spelt(word: str, language: str) -> str:
    """``word`` as the made-up ``language`` spells it: backwards, with the language's own vowel behind it."""
    return word[::-1] + "aeiou"[sum(map(ord, language)) % 5] + language[0]


def sentences(seed: int, count: int) -> list[list[str]]:
    generator = random.Random(seed)
    return [generator.sample(WORDS, generator.randint(3, 5)) for _ in range(count)]


def write_data(folder: Path) -> Path:
    """Bitext ``bitext/<source>.tsv``, relevance pairs, and a TREC collection for each target."""
    for part in ("bitext", "relevance", *TARGETS):
        (folder / part).mkdir(parents=True)
    for language in SOURCES:
        rows = [
            " ".join(words) + "\t" + " ".join(spelt(word, language) for word in words)
            for words in sentences(1, NUM_PAIRS)
        ]
        (folder / "bitext" / f"{language}.tsv").write_text("\n".join(rows) + "\n")
    rows = [f"{' '.join(words[:2])}\t{' '.join(words)}\t{' '.join(WORDS[:3])}" for words in sentences(2, NUM_PAIRS)]
    (folder / "relevance" / "triples.train.small.tsv").write_text("\n".join(rows) + "\n")
    documents = sentences(3, 2 * NUM_TOPICS)
    for language in TARGETS:
        topics = [f"q{i}\t{' '.join(spelt(w, language) for w in documents[i][:2])}" for i in range(NUM_TOPICS)]
        (folder / language / "topics.tsv").write_text("\n".join(topics) + "\n")
        texts = [f"d{i}\t{' '.join(words)}" for i, words in enumerate(documents)]
        (folder / language / "documents.tsv").write_text("\n".join(texts) + "\n")
        qrels = [f"q{i} 0 d{i} 1" for i in range(NUM_TOPICS)]
        (folder / language / "qrels.txt").write_text("\n".join(qrels) + "\n")
    return folder


def spec(data: Path, **changes: Any) -> dict[str, Any]:
    """The raw spec of a study over ``write_data(data)``; ``changes`` replace whole blocks."""
    raw: dict[str, Any] = {
        "name": "tiny",
        "seed": 7,
        "data": {
            "bitext": {"made": {"kind": "parallel_text", "root": str(data / "bitext")}},
            "collections": {
                target: {"kind": "trec", "language": target, "root": str(data / target), "eval_fraction": 0.5}
                for target in TARGETS
            },
            "relevance": {"en": {"kind": "msmarco", "root": str(data / "relevance")}},
        },
        "trial": {
            "teacher": {
                "kind": "scratch",
                "layers": 1,
                "hidden": 32,
                "heads": 2,
                "intermediate": 64,
                "dim": 16,
                "vocabulary": 500,
                "query_length": 32,
                "document_length": 32,
            },
            "teacher_training": {"data": ["en"], "steps": 8, "batch_size": 16},
            "data": {"bitext": ["made"], "source_languages": ["de"], "batch_size": 8},
            "optimizer": {"learning_rate": 1.0e-3, "steps": 8},
        },
        "evaluation": {"metrics": ["AP", "nDCG@20"], "every": 4},
        "space": {
            "data.source_languages": {"kind": "subset", "of": list(SOURCES), "max_size": 2},
            "loss.solver.epsilon": {"kind": "float", "low": 0.05, "high": 0.5, "log": True},
        },
        "search": {
            "num_trials": 2,
            "start_with": [{"data.source_languages": "de"}, {"data.source_languages": "de+hi"}],
        },
        "compute": {"max_concurrent_trials": 1, "checkpoint_every": 2},
    }
    return raw | changes


def prepare(experiment: Experiment, storage: Path) -> Preparation:
    """All that the study's trials share, made in this process."""
    folder = storage / experiment.name
    folder.mkdir(parents=True, exist_ok=True)
    preparation = prepare_text(experiment, storage, lambda stage: None)

    def fit(loop: Callable[[Context, Any], None], job: Any, name: str) -> None:
        loop(LocalContext(storage / "local" / name, device=torch.device("cpu")), job)

    prepare_models(experiment, folder, preparation, fit, lambda stage: None)
    return preparation


def open_study(experiment: Experiment, storage: Path) -> OpenStudy:
    """The study with all that its trials share, without Ray."""
    preparation = prepare(experiment, storage)
    folder = storage / experiment.name
    describe(experiment, folder, preparation, num_concurrent=1)
    return OpenStudy(experiment, preparation, Ledger.open(folder))


def job(
    experiment: Experiment, preparation: Preparation, trial: TrialConfig, seed: int, folder: Path, logged_step: int = 0
) -> DistillationJob:
    """The job of one trial whose files are written to ``folder``."""
    study = OpenStudy(experiment, preparation, Ledger(folder))
    return study.trial_job(trial, seed, preparation.trial_key(trial, seed), folder, logged_step=logged_step)
