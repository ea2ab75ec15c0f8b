"""Controls and the teacher on English topics, made by workers: once, resumed, scored anew where something is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.load import from_dict
from optical_ray.evaluate import read_per_query
from optical_ray.study.files import read_json
from optical_ray.study.records import Ledger, read_scores
from optical_ray.sweep.study import run_study
from tests.prepare.test_baselines import english_topics
from tests.tiny_study import SOURCES, spec, write_data

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def launch(raw: dict[str, Any], storage: Path) -> Ledger:
    return run_study(from_dict(raw), storage, address="local").ledger


def row_of_sw(row: dict[str, Any]) -> bool:
    return (row["split"], row["target"], row["metric"]) == ("test", "sw", "AP")


def test_controls_and_teacher_are_rows_that_are_made_once(ray_cluster: None, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    raw = spec(data, space={}, search={"num_trials": 1, "seeds": 2})
    raw["baselines"] = {
        "en": {"params": {"data.source_languages": SOURCES[1]}},
        "teacher_english": {"topics": english_topics(data)},
    }
    ledger = launch(raw, tmp_path)
    names = ["undistilled", "en", "teacher_english"]
    assert list(ledger.baselines()) == names
    folder = ledger.folder / "baselines"
    for name in names:
        scores = ledger.baselines()[name]
        assert set(scores["test"]["AP"]) == {"so", "sw"}
        assert read_json(folder / name / "baseline.json")["state"] == "COMPLETE"
    assert (folder / "teacher_english" / "run.sw.trec.gz").is_file()
    seeds = sorted((folder / "en").glob("seed-*"))
    assert len(seeds) == 2
    each = [read_scores(seed)["test"]["AP"]["sw"] for seed in seeds]
    assert each[0] != each[1]
    assert ledger.baselines()["en"]["test"]["AP"]["sw"] == pytest.approx(sum(each) / 2)
    topics = {row["topic_id"]: row["value"] for row in read_per_query(folder / "en") if row_of_sw(row)}
    assert sum(topics.values()) / len(topics) == pytest.approx(sum(each) / 2)
    teacher, student = ledger.baselines()["teacher_english"], ledger.baselines()["undistilled"]
    assert teacher["test"]["AP"]["sw"] > student["test"]["AP"]["sw"]
    assert not list((ledger.folder / "train").glob("*baseline*"))
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*/scores.json")}
    weights = (seeds[0] / "student" / "model.safetensors").stat().st_mtime_ns
    assert launch(raw, tmp_path).baselines() == ledger.baselines()
    assert {path: path.stat().st_mtime_ns for path in written} == written
    again = launch(raw | {"evaluation": {"metrics": ["AP", "RR"], "every": 4}}, tmp_path)
    assert all("RR" in scores["test"] for scores in again.baselines().values())
    assert (seeds[0] / "student" / "model.safetensors").stat().st_mtime_ns == weights  # scored, not distilled
