"""Baselines that need no worker: BM25 over English topics, runs that others made; made once, made anew where new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import from_dict
from optical_ray.evaluate import read_per_query
from optical_ray.metrics.trec_run import read_run
from optical_ray.prepare.baselines import check_baselines, score_runs
from optical_ray.prepare.text import prepare_text
from optical_ray.study.files import read_json
from optical_ray.study.records import read_scores
from optical_ray.types import InputError
from tests.tiny_study import NUM_TOPICS, TARGETS, spec

Make = Callable[..., Experiment]


def english_topics(data: Path) -> dict[str, str]:
    """For each target a file with the first two words of each topic's document; the paths by target."""
    paths = {}
    for target in TARGETS:
        documents = dict(line.split("\t") for line in (data / target / "documents.tsv").read_text().splitlines())
        lines = [f"q{i}\t{' '.join(documents[f'd{i}'].split()[:2])}" for i in range(NUM_TOPICS)]
        (data / target / "english.tsv").write_text("\n".join(lines) + "\n")
        paths[target] = str(data / target / "english.tsv")
    return paths


def run_files(data: Path) -> str:
    """A run for each target that has the answer first; the path with a place for the target."""
    for target in TARGETS:
        lines = [f"q{i} 0 d{i} 7 {2.5 - i} nmt\nq{i} Q0 d{i + 1} 1 {2.0 - i} nmt" for i in range(NUM_TOPICS)]
        (data / target / "nmt.run").write_text("\n".join(lines) + "\n")
    return str(data / "{target}" / "nmt.run")


def scored(experiment: Experiment, storage: Path) -> Path:
    """The baselines' folder."""
    text = prepare_text(experiment, storage, lambda stage: None)
    check_baselines(experiment, text)
    score_runs(experiment, text, storage / experiment.name)
    return storage / experiment.name / "baselines"


def test_bm25_and_a_run_are_rows_with_scores_runs_and_per_query_values(data: Path, make: Make, tmp_path: Path) -> None:
    baselines = {"bm25": {"topics": english_topics(data)}, "nmt": {"run": run_files(data)}}
    folder = scored(make({"baselines": baselines}), tmp_path)
    assert {path.name for path in folder.iterdir()} == {"bm25", "nmt"}
    for name in baselines:
        scores = read_scores(folder / name)
        assert set(scores) == {"eval", "test"}
        assert set(scores["test"]["AP"]) == set(TARGETS)
        assert read_json(folder / name / "baseline.json")["state"] == "COMPLETE"
        rows = read_per_query(folder / name)
        assert {(row["split"], row["target"], row["metric"]) for row in rows} >= {("test", "sw", "AP")}
        assert len([row for row in rows if row["target"] == "sw" and row["metric"] == "AP"]) == NUM_TOPICS
        assert pq.read_schema(folder / name / "per_query.parquet").names[0] == "split"
    assert read_scores(folder / "nmt")["test"]["AP"] == {"so": 1.0, "sw": 1.0}
    run = read_run(folder / "bm25" / "run.sw.trec.gz")
    topics = dict(line.split("\t") for line in Path(baselines["bm25"]["topics"]["sw"]).read_text().splitlines())  # type: ignore[index]
    documents = dict(line.split("\t") for line in (data / "sw" / "documents.tsv").read_text().splitlines())
    for topic_id, found in run.items():
        assert all(set(topics[topic_id].split()) & set(documents[doc].split()) for doc in found)


def test_nothing_is_made_twice_and_all_is_made_anew_where_its_input_is_new(
    data: Path, make: Make, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"baselines": {"nmt": {"run": run_files(data)}}}
    folder = scored(make(settings), tmp_path) / "nmt"
    first = (folder / "scores.json").stat().st_mtime_ns
    assert scored(make(settings), tmp_path) / "nmt" == folder
    assert (folder / "scores.json").stat().st_mtime_ns == first
    scored(make({**settings, "evaluation.metrics": ["AP", "RR"]}), tmp_path)
    assert set(read_scores(folder)["test"]) == {"AP", "RR"}
    path = data / "sw" / "nmt.run"
    path.write_text(path.read_text().replace(" d0 ", " d3 "))
    scored(make(settings), tmp_path)
    by_topic = {row["topic_id"]: row["value"] for row in read_per_query(folder) if row["target"] == "sw"}
    assert by_topic["q0"] == 0.0


def test_a_target_without_a_file_has_no_cell(data: Path, make: Make, tmp_path: Path) -> None:
    topics = english_topics(data)
    folder = scored(make({"baselines": {"translated": {"topics": {"sw": topics["sw"]}}}}), tmp_path)
    assert set(read_scores(folder / "translated")["test"]["AP"]) == {"sw"}


@pytest.mark.parametrize(
    ("baselines", "message"),
    [
        ({"bm25": {}}, r"baselines\.bm25: nothing to search with.*topics: \{\.\.\.\}"),
        ({"teacher_english": {}}, r"baselines\.teacher_english: nothing to search with"),
        ({"nmt": {"run": "nowhere/{target}.run"}}, r"baselines\.nmt\.run: nowhere/so\.run: no such file"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_is_written(
    make: Make, tmp_path: Path, baselines: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        scored(make({"baselines": baselines}), tmp_path)
    assert not (tmp_path / "tiny").exists()


def test_a_run_of_other_topics_or_documents_is_refused(data: Path, make: Make, tmp_path: Path) -> None:
    path = data / "other.run"
    for line, message in (("x1 Q0 d1 1 1.0 t\n", "none of its 1 topic ids .*'x1'"), ("q1 Q0 e1 1 1.0 t\n", "'e1'")):
        path.write_text("".join(dict.fromkeys(line.replace("q1", f"q{i}") for i in range(NUM_TOPICS))))
        with pytest.raises(InputError, match=message):
            scored(make({"baselines": {"nmt": {"run": {"sw": str(path)}}}}), tmp_path)


@pytest.mark.parametrize(
    ("baselines", "message"),
    [
        ({"undistilled": {}}, "undistilled: every study has this baseline"),
        ({"mine": {}}, "mine: kind is missing. Use one of bm25, teacher_english, en, shuffled, run"),
        ({"../x": {"kind": "en"}}, "a baseline's name"),
        ({"bm25": {"k2": 1}}, r"baselines\.bm25.*k2: unknown key"),
        ({"nmt": {"run": ""}}, "give the path of a TREC run"),
    ],
)
def test_a_block_that_says_nothing_is_refused(data: Path, baselines: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_dict(spec(data, baselines=baselines))


def test_a_control_is_checked_like_a_corner(make: Make) -> None:
    with pytest.raises(InputError, match=r"baselines\.en\.params\.data\.source_languages: 'xx' is not in bitext"):
        make({"baselines": {"en": {"params": {"data.source_languages": "xx"}}}})
    with pytest.raises(InputError, match=r"baselines\.en\.params\.loss\.nothing: the trial has no"):
        make({"baselines": {"en": {"params": {"loss.nothing": 1}}}})
    with pytest.raises(InputError, match="all students of a study share"):
        make({"baselines": {"shuffled": {"params": {"data.max_length": 9}}}})


def test_names_alone_are_enough(data: Path) -> None:
    experiment = from_dict(spec(data, baselines=["bm25", "en", "shuffled", "teacher_english"]))
    assert {name: baseline.kind for name, baseline in experiment.baselines.items()} == {
        name: name for name in ("bm25", "en", "shuffled", "teacher_english")
    }
