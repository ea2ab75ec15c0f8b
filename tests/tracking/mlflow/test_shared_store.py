"""Several studies in one store, and runs that a user deletes."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.study.records import Ledger
from optical_ray.tracking.mlflow.store import connect
from optical_ray.tracking.mlflow.tracker import PARENT, MlflowTracker
from tests.tracking.mlflow.queries import all_runs, history, runs_of
from tests.tracking.written_study import DONE, RUNNING, write_study


def test_two_studies_of_one_name_have_runs_of_their_own(ledger: Ledger, tmp_path: Path) -> None:
    """The same trials of the same name in two storages, on one server: neither changes the runs of the other."""
    uri = MlflowTracker(ledger.folder).uri
    other = write_study(tmp_path / "elsewhere" / "small", study_id="another-id")
    first, second = MlflowTracker(ledger.folder, uri), MlflowTracker(other.folder, uri)
    first.sync()
    before = {run.info.run_id: run.info.status for run in all_runs(first).values()}
    second.sync()
    second.close(5)
    after = {run_id: run.info.status for run_id, run in all_runs(first).items()}
    assert len(after) == 2 * len(before)
    assert before.items() <= after.items()
    tags = {run_id: run.data.tags for run_id, run in all_runs(first).items()}
    own = {run_id for run_id in tags if tags[run_id]["optical.study_id"] == "another-id"}
    assert not own & set(before)
    parents = {run_id for run_id in tags if tags[run_id]["optical.kind"] == "study"}
    assert [tags[run_id]["optical.study"] for run_id in parents] == ["small", "small"]
    assert {tags[run_id]["mlflow.parentRunId"] for run_id in own - parents} == own & parents


def test_runs_of_other_programs_are_not_changed(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    client = connect(tracker.uri)
    experiment = client.get_experiment_by_name(tracker.experiment_name)
    assert experiment is not None
    foreign = client.create_run(experiment.experiment_id, tags={"optical.study": "small", "optical.trial_key": DONE})
    MlflowTracker(ledger.folder).close(5)
    run = client.get_run(foreign.info.run_id)
    assert (run.info.status, run.info.lifecycle_stage) == ("RUNNING", "active")


@pytest.mark.parametrize("key", [DONE, PARENT])
def test_a_run_that_was_deleted_in_mlflow_is_written_again(ledger: Ledger, key: str) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    connect(tracker.uri).delete_run(runs_of(tracker)[key].info.run_id)
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    runs = runs_of(tracker)
    assert len(history(tracker, DONE, "loss")) == 40
    parent = runs[PARENT].info.run_id
    assert {run.data.tags["mlflow.parentRunId"] for name, run in runs.items() if name} == {parent}


def test_a_running_tracker_notices_that_its_run_was_deleted(ledger: Ledger) -> None:
    tracker = MlflowTracker(ledger.folder)
    tracker.sync()
    connect(tracker.uri).delete_run(runs_of(tracker)[RUNNING].info.run_id)
    ledger.log(RUNNING, [{"step": 21, "loss": 0.5}])
    with pytest.raises(Exception, match="deleted"):
        tracker.sync()
    tracker.sync()
    assert len(history(tracker, RUNNING, "loss")) == 21
