"""Topics in the language of the documents, and run files, for baselines and first stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from optical_ray.config.baselines import RunFile, TopicBaseline
from optical_ray.config.key import digest
from optical_ray.data.input_files import find_file
from optical_ray.data.interface import CollectionDataset
from optical_ray.data.trec_files import read_topics
from optical_ray.metrics.trec_run import read_run, unescape_id
from optical_ray.prepare.tokens import CollectionSource
from optical_ray.study.layout import SPLITS
from optical_ray.types import Collection, InputError, Run, Topic


def topic_texts(source: CollectionSource, baseline: TopicBaseline, where: str) -> Mapping[str, str] | None:
    """Return topic id -> text in ``baseline.language``, or None if neither the collection nor a file has any.

    Raises ``InputError``, beginning with ``where``, for a file without any of the collection's topics.
    """
    if baseline.topics == "pivot":
        return source.dataset.topic_texts(source.split, baseline.language) or None
    assert not isinstance(baseline.topics, str)
    path = baseline.topics.get(source.target)
    if path is None:
        return None
    texts = {topic.topic_id: topic.text for _, topic in read_topics(find_file(path), baseline.language)}
    _check_ids(f"{where}.topics.{source.target}: {path}", source, set(texts), "topic ids")
    return texts


def topics_digest(source: CollectionSource, baseline: TopicBaseline) -> str:
    """Return a digest of what ``topic_texts`` depends on besides the collection."""
    path = None if isinstance(baseline.topics, str) else baseline.topics.get(source.target)
    return digest([baseline.language, None if path is None else find_file(path).digest()])


def run_for(source: CollectionSource, file: RunFile, where: str) -> Run | None:
    """Return the part of a run file with this split's topics and documents, or None if the target has no file.

    Raises ``InputError`` for a file without any of the collection's topics or without any of its documents.
    """
    path = file.path(source.target)
    if path is None:
        return None
    if not Path(path).is_file():
        raise InputError(f"{where}.run: {path}: no such file; give a TREC run for target {source.target!r}")
    topic_ids = [topic.topic_id for topic in source.collection.topics]
    known = {document.doc_id for document in source.collection.documents}
    originals = {unescape_id(identity): identity for identity in (*topic_ids, *known) if "%" in identity}
    originals = {read: identity for read, identity in originals.items() if read not in known.union(topic_ids)}
    run = {
        originals.get(topic_id, topic_id): {originals.get(doc, doc): score for doc, score in documents.items()}
        for topic_id, documents in read_run(Path(path)).items()
    }  # other tools do not escape: an id that looks escaped is the collection's own
    at = f"{where}.run: {path}"
    _check_ids(at, source, set(run), "topic ids")
    asked = [topic_id for topic_id in topic_ids if topic_id in run]
    result = {topic_id: {doc: score for doc, score in run[topic_id].items() if doc in known} for topic_id in asked}
    if asked and not any(result.values()):
        example = next(iter(run[asked[0]]), None)
        raise InputError(
            f"{at}: none of its documents (first {example!r}) is in {source.target!r} {source.split}; check the ids"
        )
    return result


def run_digest(source: CollectionSource, file: RunFile) -> str | None:
    """Return a digest of what ``run_for`` depends on besides the collection."""
    path = file.path(source.target)
    return find_file(path).digest() if path is not None and Path(path).is_file() else None


def _check_ids(where: str, source: CollectionSource, ids: set[str], noun: str) -> None:
    """A file may lack the topics of one split, but not those of both."""
    known = {topic.topic_id for split in SPLITS for topic in _of_split(source, split).topics}
    if not ids & known:
        raise InputError(
            f"{where}: none of its {len(ids)} {noun} (first {min(ids, default=None)!r}) is a topic of "
            f"{source.target!r} (first {min(known, default=None)!r}); check the ids"
        )


def _of_split(source: CollectionSource, split: str) -> Collection:
    return source.collection if split == source.split else source.dataset.load(split)


@dataclass(frozen=True)
class Translated(CollectionDataset):
    """A collection with its topics in another language; topics without a text are left out, their judgements stay."""

    original: CollectionSource
    texts: Mapping[str, str]
    language: str

    def load(self, split: str) -> Collection:
        """Read the split of the original."""
        assert split == self.original.split
        topics = [
            Topic(topic.topic_id, self.texts[topic.topic_id], self.language)
            for topic in self.original.collection.topics
            if self.texts.get(topic.topic_id)
        ]
        return replace(self.original.collection, topics=topics)

    def fingerprint(self) -> str:
        """Return a digest of the original and the texts."""
        return digest([self.original.fingerprint, sorted(self.texts.items()), self.language], digits=64)


def translated(source: CollectionSource, texts: Mapping[str, str], language: str) -> CollectionSource:
    """Return ``source`` with ``texts`` as its topics."""
    dataset = Translated(source, texts, language)
    return CollectionSource(source.target, dataset, dataset.fingerprint(), source.split)
