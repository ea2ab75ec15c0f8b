"""The verb ``submit``: the study runs as a job, its launcher on the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from optical_ray.cli import submit
from optical_ray.cli.submit import submit_study
from optical_ray.study.records import Ledger
from optical_ray.types import InputError
from tests.tiny_study import spec, write_data

NOBODY = "http://127.0.0.1:9"


def test_what_cannot_be_submitted_is_refused_here(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    with pytest.raises(InputError, match=r"study\.yaml: No such file"):
        submit_study(path, "/shared", [], NOBODY, wait=True)
    path.write_text("- a list")
    with pytest.raises(InputError, match="expected a mapping"):
        submit_study(path, "/shared", [], NOBODY, wait=True)
    path.write_text("name: small")
    with pytest.raises(InputError, match="--storage runs: not an absolute path"):
        submit_study(path, "runs", [], NOBODY, wait=True)
    with pytest.raises(InputError, match=r"no Ray job server answers .*`ray dashboard cluster\.yaml`"):
        submit_study(path, "/shared", [], NOBODY, wait=True)


def test_ctrl_c_leaves_the_job_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Client:
        def submit_job(self, **given: Any) -> str:
            assert "python -m optical_ray run study.yaml" in given["entrypoint"]
            return "job-1"

        def tail_job_logs(self, job: str) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setattr(submit, "_client", lambda address: Client())
    (tmp_path / "study.yaml").write_text("name: small")
    assert submit_study(tmp_path / "study.yaml", "/shared", [], NOBODY, wait=True) == 0
    said = capsys.readouterr().out
    assert "the job continues; show its output with: ray job logs --follow --address http://127.0.0.1:9 job-1" in said


@pytest.mark.ray
@pytest.mark.slow
def test_a_job_runs_the_study(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ray._private.worker import get_dashboard_url

    raw = spec(write_data(tmp_path / "data"), name="${NAME_OF_STUDY}", search={"num_trials": 1})
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(raw, allow_unicode=True))
    monkeypatch.setenv("NAME_OF_STUDY", "submitted")
    address, runs = f"http://{get_dashboard_url()}", tmp_path / "runs"
    given = ["trial.optimizer.steps=4", "evaluation.every=4"]
    assert submit_study(tmp_path / "small.yaml", str(runs), given, address, wait=True) == 0
    said = capfd.readouterr().out
    assert "stop it with: ray job stop --address" in said
    assert "AP on the test split" in said  # the job's own output
    ledger = Ledger.open(runs / "submitted")
    assert [record.steps for record in ledger.records] == [4]
