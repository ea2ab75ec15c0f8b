"""The MLflow mirror: complete, idempotent, and late rather than wrong."""

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
from optical_ray.study.records import Ledger, TrialState
from optical_ray.tracking import mlflow as room
from optical_ray.tracking.mlflow import MlflowMirror
from optical_ray.tracking.store import connect, find_runs

TARGETS = ("sw", "so", "mr", "ha")
DONE, RUNNING, FAILED, WAITING = ("000000000000", "000000000002", "000000000003", "000000000004")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh database, made once: its tables take MLflow seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def ledger(plant: Any, empty_store: Path, tmp_path: Path) -> Ledger:
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    planted: Ledger = plant()
    return planted


def runs_of(mirror: MlflowMirror) -> dict[str, Any]:
    client = connect(mirror.uri)
    experiment = client.get_experiment_by_name(mirror.experiment_name)
    assert experiment is not None
    every = client.search_runs([experiment.experiment_id], max_results=1000)
    found = find_runs(client, experiment.experiment_id, mirror.folder.name)
    assert len(every) == len(found), "a run is there twice"
    return found


def history(mirror: MlflowMirror, key: str, metric: str) -> list[tuple[int, float]]:
    found = connect(mirror.uri).get_metric_history(runs_of(mirror)[key].info.run_id, metric)
    return sorted((metric.step, metric.value) for metric in found)


def test_one_parent_and_one_child_a_run_that_was_started(ledger: Ledger) -> None:
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    runs = runs_of(mirror)
    assert set(runs) == {"", DONE, "000000000001", RUNNING, FAILED, "feedbeef0000"}
    parent = runs[""].info.run_id
    assert all(run.data.tags["mlflow.parentRunId"] == parent for key, run in runs.items() if key)
    statuses = {key: run.info.status for key, run in runs.items()}
    assert statuses[""] == statuses[RUNNING] == "RUNNING"
    assert statuses[DONE] == statuses["feedbeef0000"] == "FINISHED"
    assert statuses[FAILED] == "FAILED"
    assert runs[FAILED].data.tags["optical.error"] == "loss is NaN at step 3"
    assert runs[DONE].data.tags["mlflow.source.git.commit"] == "abc"
    assert runs[DONE].data.tags["optical.data_digest"] == '{"teacher": "t1"}'
    assert runs["000000000001"].data.tags["optical.source_languages"] == "hi+mr"
    assert runs["000000000001"].data.tags["optical.supervised_targets"] == "mr"


def test_test_scores_bear_the_plain_name_and_eval_scores_are_a_curve(ledger: Ledger) -> None:
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    metrics = runs_of(mirror)[DONE].data.metrics
    assert {name for name in metrics if name.startswith("AP/")} == {f"AP/{target}" for target in (*TARGETS, "mean")}
    assert metrics["AP/so"] == pytest.approx(0.21)
    assert metrics["AP/mean"] == pytest.approx(0.215)
    assert metrics["nDCG_20/sw"] == pytest.approx(0.2)
    assert history(mirror, DONE, "AP/sw") == [(40, 0.2)]
    assert history(mirror, DONE, "eval/AP/sw")[:2] == [(10, 0.01), (20, 0.02)]
    assert not any(name.startswith("AP/") for name in runs_of(mirror)[RUNNING].data.metrics)


@pytest.mark.parametrize("reborn", [False, True])
def test_twice_is_once(ledger: Ledger, reborn: bool) -> None:
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    before = history(mirror, DONE, "loss")
    assert len(before) == 40
    again = MlflowMirror(ledger.folder) if reborn else mirror
    again.sync()
    assert history(again, DONE, "loss") == before


def test_a_new_mirror_goes_on_where_the_killed_one_stood(ledger: Ledger) -> None:
    MlflowMirror(ledger.folder).sync()
    ledger.log(RUNNING, [{"step": step, "loss": 0.5} for step in range(15, 41)])
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    assert [step for step, _ in history(mirror, RUNNING, "loss")] == list(range(1, 41))
    assert runs_of(mirror)[RUNNING].data.tags["optical.logged_step"] == "40"


def test_killed_between_metrics_and_their_mark_counts_no_step_twice(ledger: Ledger) -> None:
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    client = connect(mirror.uri)
    client.set_tag(runs_of(mirror)[RUNNING].info.run_id, "optical.logged_step", "3")
    client.set_tag(runs_of(mirror)[RUNNING].info.run_id, "optical.stamp", "torn")
    MlflowMirror(ledger.folder).sync()
    assert [step for step, _ in history(mirror, RUNNING, "loss")] == list(range(1, 21))


def test_long_histories_go_in_several_requests(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BATCH", 7)
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    assert len(history(mirror, DONE, "loss")) == 40


def test_params_are_written_once_and_never_changed(ledger: Ledger) -> None:
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    path = ledger.trial_folder(DONE) / "trial.json"
    value = json.loads(path.read_text())
    value["config"]["loss"]["solver"]["epsilon"] = 0.9
    value["config"]["added"] = True
    write_json(path, value)
    MlflowMirror(ledger.folder).sync()
    params = runs_of(mirror)[DONE].data.params
    assert params["loss.solver.epsilon"] == "0.1"
    assert params["added"] == "true"
    assert params["data.source_languages"] == "de"
    assert len(params["loss.solver.note"]) == 500


def test_a_raised_budget_is_no_conflict(ledger: Ledger) -> None:
    MlflowMirror(ledger.folder).sync()
    study = ledger.study
    study["experiment"]["search"]["num_trials"] = 99
    write_json(ledger.folder / "study.json", study)
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    params = runs_of(mirror)[""].data.params
    assert params["search.objective"] == "AP"
    assert "search.num_trials" not in params


def test_artifacts(ledger: Ledger) -> None:
    (ledger.folder / "report").mkdir()
    (ledger.folder / "report" / "index.html").write_text("<p>report</p>")
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    client = connect(mirror.uri)
    runs = runs_of(mirror)
    listed = {file.path for file in client.list_artifacts(runs[DONE].info.run_id)}
    assert listed == {"run.sw.trec.gz", "per_query.parquet", "scores.json"}
    [kept] = (mirror.storage / "mlartifacts").rglob(f"{runs[DONE].info.run_id}/artifacts/run.sw.trec.gz")
    assert kept.samefile(ledger.trial_folder(DONE) / kept.name)  # no second copy on the disk
    parents = {file.path for file in client.list_artifacts(runs[""].info.run_id)}
    assert parents == {"study.json", "report"}
    assert (mirror.storage / "mlartifacts").is_dir()


def test_closing_says_what_will_not_go_on_and_the_next_launcher_takes_it_back(ledger: Ledger) -> None:
    first = MlflowMirror(ledger.folder)
    first.sync()
    first.close(5)
    assert first.behind() == ()
    runs = runs_of(first)
    assert runs[""].info.status == runs[RUNNING].info.status == "KILLED"
    assert runs[DONE].info.status == "FINISHED"
    second = MlflowMirror(ledger.folder)
    second.sync()
    runs = runs_of(second)
    assert runs[""].info.status == runs[RUNNING].info.status == "RUNNING"


def test_a_dead_launchers_running_run_is_finalised(ledger: Ledger) -> None:
    MlflowMirror(ledger.folder).sync()  # and killed: nothing closes it
    for key in (RUNNING, FAILED, WAITING):
        ledger.start(key, resumed_from=0)
        ledger.finish(key, TrialState.PRUNED)
    mirror = MlflowMirror(ledger.folder)
    mirror.close(5)
    statuses = {key: run.info.status for key, run in runs_of(mirror).items()}
    assert statuses[RUNNING] == "KILLED"  # pruned: no final scores
    assert statuses[""] == statuses[DONE] == "FINISHED"


def test_scores_added_later_are_shown(ledger: Ledger) -> None:
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    path = ledger.trial_folder(DONE) / "scores.json"
    scores = json.loads(path.read_text())
    scores["test"]["AP"]["yo"] = 0.5
    write_json(path, scores)
    mirror.sync()
    assert runs_of(mirror)[DONE].data.metrics["AP/yo"] == 0.5
    assert history(mirror, DONE, "AP/sw") == [(40, 0.2)]


def test_nan_is_kept(ledger: Ledger) -> None:
    ledger.log(RUNNING, [{"step": 21, "loss": math.nan, "note": "text", "ot/marginal_error": math.inf, "none": None}])
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    mirror.sync()
    MlflowMirror(ledger.folder).sync()
    assert [step for step, value in history(mirror, RUNNING, "loss") if math.isnan(value)] == [21]
    assert "note" not in runs_of(mirror)[RUNNING].data.metrics


def test_a_server_that_is_down_is_made_good_when_it_is_back(ledger: Ledger) -> None:
    mirror = MlflowMirror(ledger.folder, "http://127.0.0.1:9")
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        mirror.sync()
    assert len(mirror.behind()) == 5
    mirror.uri = MlflowMirror(ledger.folder).uri
    mirror.sync()
    assert mirror.behind() == ()
    assert len(history(mirror, DONE, "loss")) == 40


def test_a_duplicate_of_a_late_server_is_healed(ledger: Ledger) -> None:
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    client, original = connect(mirror.uri), runs_of(mirror)[DONE]
    client.create_run(original.info.experiment_id, tags=original.data.tags)
    MlflowMirror(ledger.folder).sync()
    assert runs_of(mirror)[DONE].info.run_id == original.info.run_id


def test_one_broken_trial_hides_no_other(ledger: Ledger) -> None:
    (ledger.trial_folder(DONE) / "metrics.jsonl").write_text("no json\n")
    mirror = MlflowMirror(ledger.folder)
    with pytest.raises(json.JSONDecodeError):
        mirror.sync()
    assert mirror.behind() == (DONE,)
    assert runs_of(mirror)[RUNNING].data.metrics["loss"]


def test_locked_database_raises_and_is_made_good(ledger: Ledger) -> None:
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    ledger.log(RUNNING, [{"step": 21, "loss": 0.1}])
    holder = sqlite3.connect(mirror.storage / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    code = f"""
import pathlib, sqlalchemy
plain = sqlalchemy.text
sqlalchemy.sql.text = lambda words: plain(words.replace("20000", "200"))  # MLflow waits 20 s for a lock
from optical_ray.tracking.mlflow import MlflowMirror
MlflowMirror(pathlib.Path({str(ledger.folder)!r})).sync()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "locked" in ended.stderr
    holder.execute("ROLLBACK")
    holder.close()
    mirror.sync()
    assert history(mirror, RUNNING, "loss")[-1] == (21, 0.1)


def test_it_is_quiet_and_leaves_nothing_where_it_runs(plant: Any, tmp_path: Path) -> None:
    folder = plant().folder
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = (
        "import sys, pathlib; from optical_ray.tracking.mlflow import MlflowMirror; assert 'mlflow' not in sys.modules;"
        f"m = MlflowMirror(pathlib.Path({str(folder)!r})); m.sync(); m.close(5)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert list(elsewhere.iterdir()) == []
    assert (tmp_path / "mlflow.db").is_file()


def test_the_teacher_and_a_baseline_without_a_key_are_runs_too(ledger: Ledger) -> None:
    cache = ledger.folder.parent / "cache" / "ab12"
    cache.mkdir(parents=True)
    (cache / "metrics.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 2.0}\n{"step": 3, "lo')
    write_json(ledger.folder / "teacher.json", {"key": "ab12", "rows": "../cache/ab12/metrics.jsonl"})
    study = ledger.study
    study["experiment"]["trial"] = {"teacher": {"kind": "scratch"}, "loss": {"kind": "greedy"}}
    write_json(ledger.folder / "study.json", study)
    (ledger.folder / "baselines" / "undistilled" / "baseline.json").unlink()
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    runs = runs_of(mirror)
    assert history(mirror, "ab12", "loss") == [(1, 3.0), (2, 2.0)]
    assert runs["ab12"].data.params == {"teacher.kind": "scratch"}
    assert runs["ab12"].info.status == runs["baseline-undistilled"].info.status == "FINISHED"


def test_a_control_has_the_curves_of_its_first_seed(ledger: Ledger) -> None:
    for seed, loss in ((7, 2.5), (8, 9.0)):
        folder = ledger.folder / "baselines" / "undistilled" / f"seed-{seed}"
        folder.mkdir()
        append_jsonl(folder / "metrics.jsonl", [{"step": 1, "loss": loss, "AP/sw": 0.1}, {"step": 2, "loss": 1.5}])
    mirror = MlflowMirror(ledger.folder)
    mirror.sync()
    [run] = [run for run in runs_of(mirror).values() if run.data.params.get("baseline") == "undistilled"]
    key = run.data.tags["optical.trial_key"]
    assert history(mirror, key, "loss") == [(1, 2.5), (2, 1.5)]
    assert history(mirror, key, "eval/AP/sw") == [(1, 0.1), (2, 0.03)]
    assert run.data.metrics["AP/sw"] != 0.1


def test_a_study_that_says_little_is_mirrored(ledger: Ledger) -> None:
    write_json(ledger.folder / "study.json", {"targets": list(TARGETS)})
    mirror = MlflowMirror(ledger.folder, experiment_name="elsewhere")
    mirror.sync()
    assert runs_of(mirror)[DONE].data.metrics["AP/sw"] == 0.2
