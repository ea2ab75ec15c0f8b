from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from optical_ray.report import load_study, write_report
from optical_ray.study.files import read_json, write_json
from optical_ray.study.records import Ledger, TrialState
from optical_ray.types import InputError
from tests.report.planted import Planted, plant, write_study


def first_trial(folder: Path) -> Path:
    return sorted((folder / "trials").iterdir())[0]


def rewrite(path: Path, change: Any) -> None:
    """Read a per-query file, change its rows, write it back."""
    pq.write_table(pa.Table.from_pylist(change(pq.read_table(path).to_pylist())), path)


def test_a_planted_study_is_read(lattice: Path) -> None:
    study = load_study(lattice)
    assert study.targets == ("sw", "mr", "yo")
    assert len(study.systems) == 7 * 2
    assert study.seeds == (0, 1, 2)
    assert study.excluded == ()
    panel = study.test("sw")
    assert panel.values.shape == (14, 3, 60)
    ledger = Ledger.open(lattice)
    for index, system in enumerate(study.systems):
        for seed, key in enumerate(system.keys):
            assert panel.seed_means[index, seed] == pytest.approx(ledger.scores(key)["test"]["AP"]["sw"])


def test_the_order_of_rows_does_not_matter(lattice: Path) -> None:
    before = load_study(lattice)
    random = np.random.default_rng(0)
    path = first_trial(lattice) / "per_query.parquet"
    rewrite(path, lambda rows: [rows[index] for index in random.permutation(len(rows))])
    after = load_study(lattice)
    assert np.array_equal(before.test("mr").values, after.test("mr").values)


def test_own_language() -> None:
    study = plant(Planted({"hi": {"mr": 0.1}, "mr": {"mr": 0.1}}, num_topics=10))
    assert study.holds_own(("hi", "mr"), "mr")
    assert not study.holds_own(("hi",), "mr")


# ---- bad input


def test_no_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no study\.json"):
        write_report(tmp_path)


def test_another_version(quick: Path) -> None:
    write_json(quick / "study.json", {**read_json(quick / "study.json"), "version": 9})
    with pytest.raises(InputError, match=r"unknown layout version \(got 9, expected"):
        load_study(quick)


def test_another_version_of_a_trial(quick: Path) -> None:
    path = first_trial(quick) / "trial.json"
    write_json(path, {**read_json(path), "version": 0})
    with pytest.raises(InputError, match=r"unknown layout version \(got 0"):
        load_study(quick)


def test_a_damaged_trial_is_left_out_and_named(quick: Path) -> None:
    complete = load_study(quick)
    (first_trial(quick) / "trial.json").write_text("{", encoding="utf-8")
    study = load_study(quick)
    assert sum(map(len, (system.keys for system in study.systems))) < sum(
        map(len, (system.keys for system in complete.systems))
    )
    [note] = [note for note in study.notes if "damaged" in note]
    assert "trial.json" in note
    assert "left out" in note


def test_no_finished_trial(quick: Path) -> None:
    for path in (quick / "trials").glob("*/trial.json"):
        write_json(path, {**read_json(path), "state": "FAIL", "error": "CUDA out of memory"})
    with pytest.raises(InputError, match=r"no finished trial with scores \(got 5 FAIL, .*CUDA out of memory"):
        write_report(quick)


def test_no_english_only_baseline(quick: Path) -> None:
    (quick / "baselines" / "undistilled" / "per_query.parquet").unlink()
    with pytest.raises(InputError, match="every gain is measured against this baseline"):
        load_study(quick)


def test_nan_scores_exclude_the_trial(quick: Path) -> None:
    rewrite(
        first_trial(quick) / "per_query.parquet",
        lambda rows: [{**row, "value": float("nan")} if row["topic_id"] == "t3" else row for row in rows],
    )
    study = load_study(quick)
    assert [trial.reason for trial in study.excluded] == ["3 NaN scores (targets: mr, sw, yo)"]
    assert len(study.systems) == 4


def test_a_truncated_file_excludes_the_trial(quick: Path) -> None:
    path = first_trial(quick) / "per_query.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    reasons = [trial.reason for trial in load_study(quick).excluded]
    assert len(reasons) == 1
    assert "cannot be read (truncated?)" in reasons[0]
    assert "cannot be read" in write_report(quick).page.read_text(encoding="utf-8")


def test_lost_rows_exclude_the_trial(quick: Path) -> None:
    rewrite(first_trial(quick) / "per_query.parquet", lambda rows: rows[:-5])
    (trial,) = load_study(quick).excluded
    assert "disagrees with scores.json on test yo: 35 of 40 topics" in trial.reason


def test_a_topic_scored_twice_excludes_the_trial(quick: Path) -> None:
    rewrite(first_trial(quick) / "per_query.parquet", lambda rows: [*rows, rows[0]])
    assert [trial.reason for trial in load_study(quick).excluded] == ["a topic is scored twice in per_query.parquet"]


def test_different_topics_are_compared_on_the_common_ones(quick: Path) -> None:
    folder = first_trial(quick)
    table = pq.read_table(folder / "per_query.parquet")
    kept = table.filter(
        pc.invert(pc.and_(pc.equal(table["target"], "sw"), pc.is_in(table["topic_id"], pa.array(["t1", "t2"]))))
    )
    pq.write_table(kept, folder / "per_query.parquet")
    rows = kept.filter(pc.and_(pc.equal(kept["target"], "sw"), pc.equal(kept["split"], "test")))
    scores = read_json(folder / "scores.json")
    scores["test"]["AP"]["sw"] = float(np.mean(rows["value"].to_numpy()))
    write_json(folder / "scores.json", scores)
    study = load_study(quick)
    assert study.excluded == ()
    assert len(study.test("sw").topics) == 38
    assert study.test("sw").dropped == 2
    assert any("2 of 40 topics" in note for note in study.notes)
    assert any("38 topics of the test split" in line for line in write_report(quick).headlines)


def test_a_target_added_later_is_compared_on_the_trials_that_have_it(quick: Path) -> None:
    folder = first_trial(quick)
    rewrite(folder / "per_query.parquet", lambda rows: [row for row in rows if row["target"] != "yo"])
    scores = read_json(folder / "scores.json")
    for split in scores.values():
        del split["AP"]["yo"]
    write_json(folder / "scores.json", scores)
    study = load_study(quick)
    assert len(study.test("yo").topics) == 40
    assert np.isnan(study.test("yo").means).sum() == 1
    write_report(quick)


def test_a_running_partly_failed_study_reports_what_is_missing(quick: Path) -> None:
    ledger = Ledger.open(quick)
    for number, state in enumerate((TrialState.FAIL, TrialState.PRUNED, None)):
        key = f"extra{number}"
        ledger.create(key, params={"data.source_languages": "de"}, seed=5, config={}, source_languages=("de",), steps=1)
        ledger.start(key, resumed_from=0)
        if state is not None:
            ledger.finish(key, state, error="Traceback\n  ...\nRuntimeError: loss is NaN" if number == 0 else None)
    result = write_report(quick)
    missing = " ".join(result.missing)
    assert "1 trials are running" in missing
    assert "1 trials failed" in missing
    assert "stopped early" in missing
    assert "RuntimeError: loss is NaN" in result.page.read_text(encoding="utf-8")


def test_a_language_without_trials_is_reported(quick: Path) -> None:
    for path in (quick / "trials").glob("*/trial.json"):
        if "mr" in read_json(path)["source_languages"]:
            write_json(path, {**read_json(path), "state": "FAIL"})
    assert any("No finished configuration has Marathi (mr)" in item for item in write_report(quick).missing)


def test_a_missing_eval_split_is_reported(quick: Path) -> None:
    for path in quick.glob("*/*/per_query.parquet"):
        rewrite(path, lambda rows: [row for row in rows if row["split"] == "test"])
        scores = read_json(path.parent / "scores.json")
        write_json(path.parent / "scores.json", {"test": scores["test"]})
    result = write_report(quick)
    assert any("no eval split" in note for note in result.missing)
    assert all("chosen on the test topics themselves" in line for line in result.headlines)


def test_a_searched_loss_has_rows_of_its_own(tmp_path: Path) -> None:
    ledger = write_study(tmp_path / "losses", Planted({"de": {"sw": 0.1}, "hi": {"sw": 0.0}}, num_topics=20))
    for index, record in enumerate(ledger.records):
        path = ledger.trial_folder(record.key) / "trial.json"
        loss = {"kind": "optimal_transport"} if index % 2 else {"kind": "mse"}
        write_json(path, {**json.loads(path.read_text()), "params": {**record.params, "loss": loss}})
    study = load_study(tmp_path / "losses")
    assert {system.variant for system in study.systems} == {"optimal_transport", "mse"}
    assert "de | mse" in {system.label for system in study.systems}
    write_report(tmp_path / "losses")
