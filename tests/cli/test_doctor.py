"""The verb ``doctor``: what a study stands on, and what a dead launcher left behind."""

from __future__ import annotations

import socket
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import typer
from mlflow import MlflowClient

from optical_ray.cli.doctor import command
from optical_ray.study.files import write_json
from optical_ray.study.info import StudyInfo
from optical_ray.study.lease import Holder, Lease, LeaseHeld
from optical_ray.tracking.mlflow.tracker import MlflowTracker

NOBODY = 2**22 + 1  # beyond the largest process number


def died(study: Path) -> None:
    write_json(study / "lease.json", asdict(Holder(socket.gethostname(), NOBODY, "1", "token", time.time() - 100)))


def test_a_machine_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    command(None, fix=False)
    said = capsys.readouterr().out
    for word in ("torch", "GPUs", "disk", "storage"):
        assert word in said


def test_a_dead_launcher_is_told_and_let_go(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    died(study)
    MlflowTracker(study).sync()
    with pytest.raises(typer.Exit) as ended:
        command(study, fix=False)
    assert ended.value.exit_code == 1
    assert "It has died. Run the study again" in capsys.readouterr().out
    command(study, fix=True)
    assert not (study / "lease.json").exists()
    client = MlflowClient(tracking_uri=f"sqlite:///{study.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("study")
    assert experiment is not None
    statuses = {run.info.status for run in client.search_runs([experiment.experiment_id])}
    assert statuses
    assert "RUNNING" not in statuses


def test_a_living_launcher_is_left_alone(study: Path) -> None:
    with Lease(study), pytest.raises(LeaseHeld, match="There is nothing to fix"):
        command(study, fix=True)


def test_a_server_that_is_away(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracking = [{"kind": "mlflow", "uri": "http://127.0.0.1:9"}]
    info = StudyInfo.read(study)
    replace(info, experiment={**info.experiment, "tracking": tracking}).write(study)
    with pytest.raises(typer.Exit) as ended:
        command(study, fix=False)
    assert ended.value.exit_code == 1
    output = " ".join(capsys.readouterr().out.split())
    assert "http://127.0.0.1:9: cannot be reached" in output
    assert "Start the server" in output
    assert "The study's folder holds all results." in output
