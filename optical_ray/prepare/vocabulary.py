"""The tokenizers of a study: pretrained ones, and the vocabulary of a scratch encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from optical_ray.config.baselines import TeacherTopics
from optical_ray.config.experiment import Experiment
from optical_ray.config.key import digest
from optical_ray.data.input_files import find_file
from optical_ray.data.interface import BitextDataset, Counts
from optical_ray.data.trec_files import read_topics
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.encoders.tokenizer import PieceTokenizer, from_backend, read_backend, train_vocabulary, write_backend
from optical_ray.encoders.trimming import trim_vocabulary
from optical_ray.prepare.cache import Cache
from optical_ray.study.layout import SPLITS

SENTENCES_PER_LANGUAGE = 500_000
"""Sentences of each language that a vocabulary is trained on; more do not change it."""

BLOCK = 8192


def tokenizer_of(
    encoder: EncoderConfig, experiment: Experiment, cache: Cache, languages: Sequence[str] = ()
) -> PieceTokenizer:
    """Return the encoder's own tokenizer, or one trained on the bitext that the trials name (never on evaluation text).

    A tokenizer that is trimmed keeps the subwords of the bitext's ``languages``, of the teacher's pairs, of the
    collections and of the topics that baselines read. Every text of the study is then tokenized as with the full
    vocabulary, so trimming changes no result.
    """
    own = encoder.tokenizer()
    if own is not None:
        return _trimmed(own, experiment, cache, languages) if encoder.trim_vocabulary else own
    datasets = [experiment.data.bitext[name] for name in sorted(experiment.trial.data.bitext)]
    key = digest({"size": encoder.vocabulary, "bitext": [dataset.fingerprint() for dataset in datasets]})

    def build(folder: Path) -> dict[str, object]:
        tokenizer = train_vocabulary(_texts(datasets), encoder.vocabulary)
        write_backend(folder, tokenizer.backend)
        return {"pieces": tokenizer.size}

    folder = cache.entry("vocabulary", key, build)
    return from_backend(read_backend(folder), expands=encoder.query_expansion)


def _trimmed(own: PieceTokenizer, experiment: Experiment, cache: Cache, languages: Sequence[str]) -> PieceTokenizer:
    """``own`` with only the subwords that the study's texts use, from the cache if possible."""
    data, training = experiment.data, experiment.trial.teacher_training
    bitext = [data.bitext[name] for name in sorted(experiment.trial.data.bitext)]
    relevance = [data.relevance[name] for name in (training.data if training else ())]
    collections = [data.collections[target] for target in sorted(data.collections)]
    negatives = training.negatives if training else 0
    topics = _other_topics(experiment)

    def texts() -> Iterator[str]:
        for dataset in bitext:
            for language in sorted(set(languages) & set(dataset.languages())):
                for batch in dataset.batches(language, Counts()):
                    yield from batch["foreign"].to_pylist()
                    yield from batch["pivot"].to_pylist()
        for source in relevance:
            for pair in source.pairs(Counts(), negatives):
                yield from (pair.query, pair.document, *pair.negatives)
        for collection in (dataset.load(split) for dataset in collections for split in SPLITS):
            yield from (topic.text for topic in collection.topics)
            yield from (document.text for document in collection.documents)

        yield from topics

    def build(folder: Path) -> dict[str, object]:
        used: set[int] = set()
        remaining = texts()
        while block := list(islice(remaining, BLOCK)):
            for encoding in own.backend.encode_batch_fast(block, add_special_tokens=False):
                used.update(encoding.ids)
        backend = trim_vocabulary(own.backend, used)
        write_backend(folder, backend)
        return {"pieces": backend.get_vocab_size(), "full": own.size}

    made_of = [[part.fingerprint() for part in parts] for parts in (bitext, relevance, collections)]
    content = [own.digest, sorted(languages), made_of, *([negatives] if negatives else [])]
    content += [digest(topics)] if topics else []
    folder = cache.entry("vocabulary", digest(content), build)
    return from_backend(read_backend(folder), markers=own.marker_pieces, expands=own.expands)


def _other_topics(experiment: Experiment) -> list[str]:
    """Topics in the documents' language that the teacher reads for baselines, sorted.

    The collections' own English topics are always included, so that a baseline can be added later.
    """
    baselines = [TeacherTopics(), *(b for b in experiment.baselines.values() if isinstance(b, TeacherTopics))]
    texts: set[str] = set()
    for baseline in baselines:
        for target, dataset in experiment.data.collections.items():
            if isinstance(baseline.topics, str):
                for split in SPLITS:
                    texts.update((dataset.topic_texts(split, baseline.language) or {}).values())
            elif target in baseline.topics:
                topics = read_topics(find_file(baseline.topics[target]), baseline.language)
                texts.update(topic.text for _, topic in topics)
    return sorted(texts)


def _texts(datasets: list[BitextDataset]) -> Iterator[str]:
    """The sentences of every language, and those of the pivot from the first language's pairs."""
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
