"""A first stage (BM25 or a run file) selects the same candidates for every encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.data.datasets.cldr_annotations import CldrCollection
from optical_ray.prepare.text import prepare_text
from optical_ray.ranking import EncodedCollection
from optical_ray.study.records import read_scores
from optical_ray.types import InputError
from tests.prepare.test_baselines import english_topics, run_files
from tests.tiny_study import NUM_TOPICS, prepare

Make = Callable[..., Experiment]
STAGE = "evaluation.first_stage"


def collections(experiment: Experiment, storage: Path) -> dict[tuple[str, str], EncodedCollection]:
    text = prepare_text(experiment, storage, lambda stage: None)
    opened = [EncodedCollection.open(folder) for folder in text.inputs.scoring.collections]
    return {(collection.target, collection.split): collection for collection in opened}


def test_candidates_are_in_the_order_of_the_run_up_to_the_depth(data: Path, make: Make, tmp_path: Path) -> None:
    found = collections(make({STAGE: {"kind": "run", "run": run_files(data), "depth": 1}}), tmp_path)
    for collection in found.values():
        assert collection.candidates is not None
        assert [[collection.doc_ids[place] for place in row] for row in map(list, _rows(collection))] == [
            [topic_id.replace("q", "d")] for topic_id in collection.topic_ids
        ]


def test_bm25_selects_documents_that_share_a_word(data: Path, make: Make, tmp_path: Path) -> None:
    stage = {"kind": "bm25", "topics": english_topics(data), "depth": 3}
    for collection in collections(make({STAGE: stage}), tmp_path).values():
        rows = _rows(collection)
        assert len(rows) == len(collection.topic_ids)
        assert all(1 <= len(row) <= 3 for row in rows)


def test_students_are_scored_on_the_candidates_only(data: Path, make: Make, tmp_path: Path) -> None:
    stage = {"kind": "run", "run": run_files(data), "depth": 1}
    experiment = make({STAGE: stage})
    prepared = prepare(experiment, tmp_path)
    assert prepared.inputs.scoring.collections
    scores = read_scores(tmp_path / experiment.name / "baselines" / "undistilled")
    assert scores["test"]["AP"] == {"so": 1.0, "sw": 1.0}  # one candidate each, and it is the answer


def test_a_target_that_the_first_stage_cannot_search_is_refused(data: Path, make: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"evaluation\.first_stage: 'so' has no topics in 'en'.*topics: \{so: FILE\}"):
        collections(make({STAGE: {"kind": "bm25"}}), tmp_path)
    one = make({STAGE: {"kind": "run", "run": {"sw": run_files(data).replace("{target}", "sw")}}})
    with pytest.raises(InputError, match=r"evaluation\.first_stage\.run: no run for target 'so'"):
        collections(one, tmp_path)


def test_collections_that_share_ids_have_their_topics_in_english() -> None:
    collection = CldrCollection(language="sw")
    texts = collection.topic_texts("test", "en")
    assert texts is not None
    known = [topic.topic_id for topic in collection.load("test").topics]
    assert sum(topic_id in texts for topic_id in known) > 0.95 * len(known)
    assert collection.topic_texts("test", "tlh") is None
    assert len(known) > NUM_TOPICS


def _rows(collection: EncodedCollection) -> list[list[int]]:
    assert collection.candidates is not None
    return [collection.candidates[row].tolist() for row in range(len(collection.candidates))]
