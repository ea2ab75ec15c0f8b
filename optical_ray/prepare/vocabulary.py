"""The tokenizers of a study: those that encoders bring, and the vocabulary of a scratch encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tokenizers

from optical_ray.config.experiment import Experiment
from optical_ray.config.key import digest
from optical_ray.data.interface import BitextDataset, Counts
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.encoders.scratch import ScratchEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, from_backend, train_vocabulary
from optical_ray.prepare.cache import Cache

SENTENCES_PER_LANGUAGE = 500_000
"""More sentences than this add nothing to a vocabulary."""


def tokenizer_of(encoder: EncoderConfig, experiment: Experiment, cache: Cache) -> PieceTokenizer:
    """The encoder's own tokenizer, or one trained on the bitext that the trials name (never on evaluation text)."""
    own = encoder.tokenizer()
    if own is not None:
        return own
    assert isinstance(encoder, ScratchEncoder)
    datasets = [experiment.data.bitext[name] for name in sorted(experiment.trial.data.bitext)]
    key = digest({"size": encoder.vocabulary, "bitext": [dataset.fingerprint() for dataset in datasets]})

    def build(folder: Path) -> dict[str, object]:
        tokenizer = train_vocabulary(_texts(datasets), encoder.vocabulary)
        tokenizer.backend.save(str(folder / "tokenizer.json"))
        return {"pieces": tokenizer.size}

    folder = cache.entry("vocabulary", key, build)
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return from_backend(backend, expands=encoder.query_expansion)


def _texts(datasets: list[BitextDataset]) -> Iterator[str]:
    """Every language's sentences, and the pivot's beside the first language."""
    for dataset in datasets:
        for index, language in enumerate(dataset.languages()):
            read = 0
            for batch in dataset.batches(language, Counts()):
                yield from batch["foreign"].to_pylist()
                if index == 0:
                    yield from batch["pivot"].to_pylist()
                read += len(batch)
                if read >= SENTENCES_PER_LANGUAGE:
                    break
