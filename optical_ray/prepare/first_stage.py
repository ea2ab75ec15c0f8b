"""A first stage: BM25 or a run file selects the documents that encoders rank."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.config.baselines import Bm25Stage, FirstStage, RunStage
from optical_ray.config.key import digest
from optical_ray.prepare.bm25 import bm25
from optical_ray.prepare.tokens import CandidateSource, CollectionSource
from optical_ray.prepare.topics import run_digest, run_for, topic_texts, topics_digest
from optical_ray.types import InputError, Run

WHERE = "evaluation.first_stage"


@dataclass(frozen=True)
class Stage(CandidateSource):
    """The candidates that ``evaluation.first_stage`` of a spec defines."""

    config: Bm25Stage | RunStage

    def digest(self, source: CollectionSource) -> str:
        """Return a digest of the settings and of the content of the files that they name."""
        settings = self.config.model_dump(mode="json", exclude={"run", "topics"})
        files = topics_digest if isinstance(self.config, Bm25Stage) else run_digest
        return digest([settings, files(source, self.config)])  # type: ignore[arg-type]

    def rows(self, source: CollectionSource) -> list[list[int]]:
        """Return the best ``depth`` documents of each topic, an empty list for a topic that the first stage lacks."""
        position = {document.doc_id: index for index, document in enumerate(source.collection.documents)}
        run = self._run(source)
        rows = []
        for topic in source.collection.topics:
            best = sorted((-score, doc_id) for doc_id, score in run.get(topic.topic_id, {}).items())
            rows.append([position[doc_id] for _, doc_id in best[: self.config.depth]])
        if not any(rows):
            raise InputError(
                f"{WHERE}: no document for {source.target!r} {source.split}; check the topics' texts and the ids"
            )
        return rows

    def _run(self, source: CollectionSource) -> Run:
        if isinstance(self.config, RunStage):
            run = run_for(source, self.config, WHERE)
            if run is None:
                raise InputError(f"{WHERE}.run: no run for target {source.target!r}; give one for each target")
            return run
        texts = topic_texts(source, self.config, WHERE)
        if texts is None:
            raise InputError(
                f"{WHERE}: {source.target!r} has no topics in {self.config.language!r}; give their translations, "
                f"topics: {{{source.target}: FILE}}, or a run"
            )
        return bm25(source.collection, texts, self.config, self.config.depth)


def first_stage(config: FirstStage | None) -> Stage | None:
    """Return the stage of a spec, or None if every document is ranked."""
    return None if config is None else Stage(config)
