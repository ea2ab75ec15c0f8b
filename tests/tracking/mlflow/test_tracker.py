"""The MLflow tracker writes every result once, also after crashes, restarts and failures of the server."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from optical_ray.study.files import append_jsonl, write_json
from optical_ray.study.layout import UNDISTILLED, StorageFolder, StudyFolder
from optical_ray.study.records import Ledger, TrialState
from optical_ray.tracking.mlflow import tracker as module
from optical_ray.tracking.mlflow.store import connect
from optical_ray.tracking.mlflow.tracker import PARENT, MlflowTracker
from tests.tracking.mlflow.queries import history, runs_of
from tests.tracking.written_study import (
    BASELINE,
    DONE,
    DONE_TOO,
    FAILED,
    RUNNING,
    SPEC,
    TARGETS,
    WAITING,
    study_info,
)


def test_one_parent_run_and_one_child_run_for_each_started_trial(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    runs = runs_of(tracker)
    assert set(runs) == {PARENT, DONE, DONE_TOO, RUNNING, FAILED, BASELINE}
    parent = runs[PARENT].info.run_id
    assert all(run.data.tags["mlflow.parentRunId"] == parent for key, run in runs.items() if key)
    statuses = {key: run.info.status for key, run in runs.items()}
    assert statuses[PARENT] == statuses[RUNNING] == "RUNNING"
    assert statuses[DONE] == statuses[BASELINE] == "FINISHED"
    assert statuses[FAILED] == "FAILED"
    assert runs[FAILED].data.tags["optical.error"] == "loss is NaN at step 3"
    assert runs[DONE].data.tags["mlflow.source.git.commit"] == "abc"
    assert runs[DONE].data.tags["optical.data_digest"] == '{"teacher": "t1"}'
    assert runs[DONE_TOO].data.tags["optical.source_languages"] == "hi+mr"
    assert runs[DONE_TOO].data.tags["optical.supervised_targets"] == "mr"


def test_test_scores_have_plain_names_and_eval_scores_are_a_curve(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    metrics = runs_of(tracker)[DONE].data.metrics
    assert {name for name in metrics if name.startswith("AP/")} == {f"AP/{target}" for target in (*TARGETS, "mean")}
    assert metrics["AP/so"] == pytest.approx(0.21)
    assert metrics["AP/mean"] == pytest.approx(0.215)
    assert metrics["nDCG_20/sw"] == pytest.approx(0.2)
    assert history(tracker, DONE, "AP/sw") == [(40, 0.2)]
    assert history(tracker, DONE, "eval/AP/sw")[:2] == [(10, 0.01), (20, 0.02)]
    assert not any(name.startswith("AP/") for name in runs_of(tracker)[RUNNING].data.metrics)


@pytest.mark.parametrize("reopened", [False, True])
def test_a_second_sync_changes_nothing(ledger: Ledger, reopened: bool) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    before = history(tracker, DONE, "loss")
    assert len(before) == 40
    again = MlflowTracker(ledger.folder) if reopened else tracker
    again.sync()
    assert history(again, DONE, "loss") == before


def test_a_new_tracker_continues_where_a_killed_one_ended(ledger: Ledger) -> None:
    MlflowTracker(ledger.folder).sync()
    ledger.log(RUNNING, [{"step": step, "loss": 0.5} for step in range(15, 41)])
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    assert [step for step, _ in history(tracker, RUNNING, "loss")] == list(range(1, 41))
    assert runs_of(tracker)[RUNNING].data.tags["optical.logged_step"] == "40"


def test_rows_that_are_sent_twice_are_stored_once(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    client = connect(tracker.uri)
    client.set_tag(runs_of(tracker)[RUNNING].info.run_id, "optical.logged_step", "3")
    client.set_tag(runs_of(tracker)[RUNNING].info.run_id, "optical.stamp", "torn")
    MlflowTracker(ledger.folder).sync()
    assert [step for step, _ in history(tracker, RUNNING, "loss")] == list(range(1, 21))


def test_long_histories_are_sent_in_several_requests(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_METRICS", 7)
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    assert len(history(tracker, DONE, "loss")) == 40


def test_parameters_are_written_once_and_never_changed(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    path = StudyFolder(ledger.folder).trial(DONE).trial
    value = json.loads(path.read_text())
    value["config"]["loss"]["solver"]["epsilon"] = 0.9
    value["config"]["added"] = True
    write_json(path, value)
    MlflowTracker(ledger.folder).sync()
    params = runs_of(tracker)[DONE].data.params
    assert params["loss.solver.epsilon"] == "0.1"
    assert params["added"] == "true"
    assert params["data.source_languages"] == "de"
    assert len(params["loss.solver.note"]) == 500


def test_a_larger_budget_is_not_a_conflict(ledger: Ledger) -> None:
    MlflowTracker(ledger.folder).sync()
    larger = {**SPEC, "search": {**SPEC["search"], "num_trials": 99}}
    study_info("small", experiment=larger, num_trials=99).write(ledger.folder)
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    params = runs_of(tracker)[""].data.params
    assert params["search.objective"] == "AP"
    assert "search.num_trials" not in params


def test_artifacts(ledger: Ledger) -> None:
    report = StudyFolder(ledger.folder).report
    report.mkdir()
    (report / "index.html").write_text("<p>report</p>")
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    client = connect(tracker.uri)
    runs = runs_of(tracker)
    listed = {file.path for file in client.list_artifacts(runs[DONE].info.run_id)}
    assert listed == {"run.sw.trec.gz", "per_query.parquet", "scores.json"}
    [kept] = StorageFolder(tracker.storage).mlflow_artifacts.rglob(f"{runs[DONE].info.run_id}/artifacts/run.sw.trec.gz")
    assert kept.samefile(ledger.trial_folder(DONE) / kept.name)  # a link, not a copy
    parents = {file.path for file in client.list_artifacts(runs[PARENT].info.run_id)}
    assert parents == {"study.json", "report"}
    assert StorageFolder(tracker.storage).mlflow_artifacts.is_dir()


def test_closing_marks_unfinished_runs_and_the_next_launcher_reopens_them(ledger: Ledger) -> None:
    first = MlflowTracker(ledger.folder)
    first.sync()
    first.close(5)
    assert first.behind() == ()
    runs = runs_of(first)
    assert runs[PARENT].info.status == runs[RUNNING].info.status == "KILLED"
    assert runs[DONE].info.status == "FINISHED"
    second = MlflowTracker(ledger.folder)
    second.sync()
    runs = runs_of(second)
    assert runs[PARENT].info.status == runs[RUNNING].info.status == "RUNNING"


def test_a_run_that_a_dead_launcher_left_running_is_finished(ledger: Ledger) -> None:
    MlflowTracker(ledger.folder).sync()  # its launcher is killed, so nothing closes it
    for key in (RUNNING, FAILED, WAITING):
        ledger.start(key, resumed_from=0)
        ledger.finish(key, TrialState.PRUNED)
    tracker = MlflowTracker(ledger.folder)
    tracker.close(5)
    statuses = {key: run.info.status for key, run in runs_of(tracker).items()}
    assert statuses[RUNNING] == "KILLED"  # a pruned trial has no final scores
    assert statuses[PARENT] == statuses[DONE] == "FINISHED"


def test_scores_that_are_added_later_are_written(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    path = StudyFolder(ledger.folder).trial(DONE).scores
    scores = json.loads(path.read_text())
    scores["test"]["AP"]["yo"] = 0.5
    write_json(path, scores)
    tracker.sync()
    assert runs_of(tracker)[DONE].data.metrics["AP/yo"] == 0.5
    assert history(tracker, DONE, "AP/sw") == [(40, 0.2)]


def test_nan_is_stored(ledger: Ledger) -> None:
    ledger.log(RUNNING, [{"step": 21, "loss": math.nan, "note": "text", "ot/marginal_error": math.inf, "none": None}])
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    tracker.sync()
    MlflowTracker(ledger.folder).sync()
    assert [step for step, value in history(tracker, RUNNING, "loss") if math.isnan(value)] == [21]
    assert "note" not in runs_of(tracker)[RUNNING].data.metrics


def test_what_was_missed_while_the_server_was_down_is_added_later(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder, "http://127.0.0.1:9")
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        tracker.sync()
    assert len(tracker.behind()) == 5
    tracker.uri = MlflowTracker(ledger.folder).uri
    tracker.sync()
    assert tracker.behind() == ()
    assert len(history(tracker, DONE, "loss")) == 40


def test_a_run_that_a_late_server_created_twice_is_deleted(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    client, original = connect(tracker.uri), runs_of(tracker)[DONE]
    client.create_run(original.info.experiment_id, tags=original.data.tags)
    MlflowTracker(ledger.folder).sync()
    assert runs_of(tracker)[DONE].info.run_id == original.info.run_id


def test_a_damaged_trial_does_not_hide_the_others(ledger: Ledger) -> None:
    StudyFolder(ledger.folder).trial(DONE).metrics.write_text("no json\n")
    tracker = MlflowTracker(ledger.folder)
    with pytest.raises(json.JSONDecodeError):
        tracker.sync()
    assert tracker.behind() == (DONE,)
    assert runs_of(tracker)[RUNNING].data.metrics["loss"]


def test_a_locked_database_raises_and_its_results_are_added_later(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    ledger.log(RUNNING, [{"step": 21, "loss": 0.1}])
    holder = sqlite3.connect(StorageFolder(tracker.storage).mlflow_database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    code = f"""
import pathlib, sqlalchemy
plain = sqlalchemy.text
sqlalchemy.sql.text = lambda query: plain(query.replace("20000", "200"))  # MLflow waits 20 s for a lock
from optical_ray.tracking.mlflow.tracker import MlflowTracker
MlflowTracker(pathlib.Path({str(ledger.folder)!r})).sync()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "locked" in ended.stderr
    holder.execute("ROLLBACK")
    holder.close()
    tracker.sync()
    assert history(tracker, RUNNING, "loss")[-1] == (21, 0.1)


def test_it_prints_nothing_and_writes_nothing_into_the_current_folder(make_study: Any, tmp_path: Path) -> None:
    folder = make_study().folder
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = (
        "import sys, pathlib; from optical_ray.tracking.mlflow.tracker import MlflowTracker;"
        "assert 'mlflow' not in sys.modules;"
        f"m = MlflowTracker(pathlib.Path({str(folder)!r})); m.sync(); m.close(5)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert list(elsewhere.iterdir()) == []
    assert (tmp_path / "mlflow.db").is_file()


def test_the_teacher_and_a_baseline_without_a_key_have_runs(ledger: Ledger) -> None:
    cache = ledger.folder.parent / "cache" / "ab12"
    cache.mkdir(parents=True)
    (cache / "metrics.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 2.0}\n{"step": 3, "lo')
    study = StudyFolder(ledger.folder)
    write_json(study.teacher, {"key": "ab12", "rows": "../cache/ab12/metrics.jsonl"})
    trial = {"teacher": {"kind": "scratch"}, "loss": {"kind": "greedy"}}
    study_info("small", experiment={**SPEC, "trial": trial}).write(ledger.folder)
    write_json(study.baseline(UNDISTILLED).baseline, {"name": UNDISTILLED, "state": "COMPLETE"})
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    runs = runs_of(tracker)
    assert history(tracker, "ab12", "loss") == [(1, 3.0), (2, 2.0)]
    assert runs["ab12"].data.params == {"teacher.kind": "scratch"}
    assert runs["ab12"].info.status == "FINISHED"
    [baseline] = [run for run in runs.values() if run.data.params.get("baseline")]
    assert baseline.info.status == "FINISHED"


def test_a_baseline_has_no_run_before_its_state_is_known(ledger: Ledger) -> None:
    StudyFolder(ledger.folder).baseline(UNDISTILLED).baseline.unlink()
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    assert BASELINE not in runs_of(tracker)
    assert not [run for run in runs_of(tracker).values() if run.data.tags["optical.kind"] == "baseline"]


def test_a_control_has_the_curves_of_its_first_seed(ledger: Ledger) -> None:
    for seed, loss in ((7, 2.5), (8, 9.0)):
        folder = StudyFolder(ledger.folder).baseline(UNDISTILLED).seed(seed)
        folder.path.mkdir()
        append_jsonl(folder.metrics, [{"step": 1, "loss": loss, "AP/sw": 0.1}, {"step": 2, "loss": 1.5}])
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    [run] = [run for run in runs_of(tracker).values() if run.data.params.get("baseline") == UNDISTILLED]
    key = run.data.tags["optical.trial_key"]
    assert history(tracker, key, "loss") == [(1, 2.5), (2, 1.5)]
    assert history(tracker, key, "eval/AP/sw") == [(1, 0.1), (2, 0.03)]
    assert run.data.metrics["AP/sw"] != 0.1


def test_a_study_of_which_little_is_known_is_written(ledger: Ledger) -> None:
    study_info("small", experiment={}, digests={}, git_commit=None).write(ledger.folder)
    tracker = MlflowTracker(ledger.folder, experiment_name="elsewhere")
    tracker.sync()
    assert runs_of(tracker)[DONE].data.metrics["AP/sw"] == 0.2
