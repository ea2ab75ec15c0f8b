"""A first stage: BM25 or somebody's run chooses the documents that encoders rank."""

from __future__ import annotations

from dataclasses import dataclass

from optical_ray.config.baselines import Bm25Stage, FirstStage, RunStage
from optical_ray.config.key import digest
from optical_ray.prepare.bm25 import bm25
from optical_ray.prepare.tokens import CandidateSource, CollectionSource
from optical_ray.prepare.topics import run_digest, run_of, topic_texts, topics_digest
from optical_ray.types import InputError, Run

WHERE = "evaluation.first_stage"


@dataclass(frozen=True)
class Stage(CandidateSource):
    """Candidates as a spec's ``evaluation.first_stage`` says."""

    config: Bm25Stage | RunStage

    def digest(self, source: CollectionSource) -> str:
        """Of the settings and of the files that they name (not of where these lie)."""
        settings = self.config.model_dump(mode="json", exclude={"run", "topics"})
        files = topics_digest if isinstance(self.config, Bm25Stage) else run_digest
        return digest([settings, files(source, self.config)])  # type: ignore[arg-type]

    def rows(self, source: CollectionSource) -> list[list[int]]:
        """The best ``depth`` documents of each topic; none for a topic that the first stage knows nothing of."""
        place = {document.doc_id: index for index, document in enumerate(source.collection.documents)}
        run = self._run(source)
        rows = []
        for topic in source.collection.topics:
            best = sorted((-score, doc_id) for doc_id, score in run.get(topic.topic_id, {}).items())
            rows.append([place[doc_id] for _, doc_id in best[: self.config.depth]])
        if not any(rows):
            raise InputError(f"{WHERE}: finds no document for {source.target!r} {source.split}; check topics and ids")
        return rows

    def _run(self, source: CollectionSource) -> Run:
        if isinstance(self.config, RunStage):
            run = run_of(source, self.config, WHERE)
            if run is None:
                raise InputError(f"{WHERE}.run: has no run for target {source.target!r}; give one for each target")
            return run
        texts = topic_texts(source, self.config, WHERE)
        if texts is None:
            raise InputError(
                f"{WHERE}: {source.target!r} has no topics in {self.config.language!r}; give their translations, "
                f"topics: {{{source.target}: FILE}}, or a run"
            )
        return bm25(source.collection, texts, self.config, self.config.depth)


def first_stage(config: FirstStage | None) -> Stage | None:
    """The stage of a spec; ``None``: every document is ranked."""
    return None if config is None else Stage(config)
