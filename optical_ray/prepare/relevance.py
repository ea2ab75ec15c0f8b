"""A teacher's tokenized training examples, cached by tokenizer and examples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from optical_ray.config.experiment import Experiment
from optical_ray.config.key import digest
from optical_ray.data.interface import Counts
from optical_ray.data.ragged import RaggedWriter
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.prepare.cache import Cache
from optical_ray.types import InputError, RelevancePair

BLOCK = 8192


def relevance_pieces(experiment: Experiment, config: EncoderConfig, tokenizer: PieceTokenizer, cache: Cache) -> Path:
    """Return the cache entry of the teacher's tokenized examples.

    It holds the ragged arrays ``queries`` and ``documents``; with ``n`` hard negatives also ``negatives`` (row
    ``i * n + j`` is the j-th of example i) and, with a KL loss, ``scores.npy`` (examples, 1 + n). Raises ``InputError``
    if an example lacks the negatives or scores that the training needs, and if there is no example.
    """
    training = experiment.trial.teacher_training
    assert training is not None
    datasets = {name: experiment.data.relevance[name] for name in training.data}
    lengths = (config.query_length, config.document_length)
    content = [[dataset.fingerprint() for dataset in datasets.values()], tokenizer.digest, lengths]
    asked = [training.negatives, bool(training.kl_weight)]
    key = digest([*content, asked] if training.negatives else content)

    def examples(counts: Counts) -> Iterator[RelevancePair]:
        for name, dataset in datasets.items():
            for pair in dataset.pairs(counts, training.negatives):
                yield _complete(pair, training.negatives, name, judged=bool(training.kl_weight))

    def build(folder: Path) -> dict[str, object]:
        counts, scores = Counts(), list[tuple[float, ...]]()
        names = ("queries", "documents", *(["negatives"] if training.negatives else []))
        with ExitStack() as stack:
            writers = {name: stack.enter_context(RaggedWriter(folder, name, np.int32)) for name in names}
            remaining = examples(counts)
            while block := list(islice(remaining, BLOCK)):
                documents = {"documents": [pair.document for pair in block]}
                documents["negatives"] = [text for pair in block for text in pair.negatives]
                writers["queries"].append(tokenizer.encode_queries([pair.query for pair in block], lengths[0]).ids)
                for name in names[1:]:
                    writers[name].append(tokenizer.encode(documents[name], "document", lengths[1]).ids)
                scores += [pair.scores for pair in block]
                counts.kept += len(block)
        if not counts.kept:
            raise InputError(f"trial.teacher_training.data: no training example in {', '.join(datasets)}")
        if training.kl_weight:
            np.save(folder / "scores.npy", np.array(scores, dtype=np.float32))
        return {"pairs": counts.kept, "dropped": counts.dropped}

    return cache.entry("relevance", key, build)


def _complete(pair: RelevancePair, num_negatives: int, name: str, *, judged: bool) -> RelevancePair:
    """The example with exactly ``num_negatives`` negatives; too few are repeated."""
    if not num_negatives:
        return RelevancePair(pair.query, pair.document)
    where = f"data.relevance.{name}: the query {pair.query[:60]!r}"
    if not pair.negatives:
        raise InputError(
            f"{where} has no hard negatives; set trial.teacher_training.negatives: 0, or leave the data out"
        )
    if judged and not pair.scores:
        raise InputError(f"{where} has no scores; set trial.teacher_training.kl_weight: 0, or give scores to all")
    chosen = list(islice(cycle(range(len(pair.negatives))), num_negatives))
    scores = (pair.scores[0], *(pair.scores[1 + index] for index in chosen)) if judged else ()
    return RelevancePair(pair.query, pair.document, tuple(pair.negatives[index] for index in chosen), scores)
