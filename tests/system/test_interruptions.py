"""Processes are killed in the middle of a study; its numbers are those of one where nothing happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from optical_ray.config.load import from_dict
from optical_ray.study.files import read_json, read_jsonl
from optical_ray.study.records import Ledger, TrialRecord, TrialState
from tests.system.conftest import Run

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Tiny = Callable[..., dict[str, Any]]
Check = Callable[[Ledger, TrialRecord], None]
ROOT = Path(__file__).resolve().parents[2]
STEPS = 40


@pytest.fixture
def long(tiny: Tiny) -> dict[str, Any]:
    """A study whose trials report ten times, so that there is a middle."""
    trial = tiny()["trial"] | {"optimizer": {"learning_rate": 1e-3, "steps": STEPS}}
    return tiny(
        trial=trial,
        evaluation={"targets": ["sw"], "metrics": ["AP"], "every": 20},
        search={"num_trials": 1, "start_with": [{"data.source_languages": "de"}]},
        compute={"max_concurrent_trials": 1, "checkpoint_every": 4},
    )


def wait_for(condition: Callable[[], bool], still: Callable[[], bool] = lambda: True) -> None:
    """Look until ``condition`` holds; an error where ``still`` does not any more, or after minutes."""
    deadline = time.monotonic() + 300
    while not condition():
        assert still(), "the study ended before its middle"
        assert time.monotonic() < deadline, "the study does not get to its middle"
        time.sleep(0.02)


def steps(folder: Path) -> list[int]:
    return [row["step"] for row in read_jsonl(folder / "metrics.jsonl")]


def is_under_way(folder: Path) -> bool:
    found = steps(folder)
    return bool(found) and found[-1] < STEPS // 2


def state(folder: Path) -> str:
    path = folder / "trial.json"
    return str(read_json(path)["state"]) if path.exists() else "not there yet"


def train_workers() -> list[psutil.Process]:
    """Ray Train's worker processes of this session's cluster, which is below this process; others are left alone."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any("RayTrainWorker" in word for word in process.cmdline()):
                found.append(process)
    return found


def test_a_killed_worker_is_started_again_from_its_checkpoint(
    run: Run, long: dict[str, Any], tmp_path: Path, assert_undisturbed: Check
) -> None:
    killed: list[int] = []

    def kill() -> None:
        wait_for(lambda: any(map(is_under_way, tmp_path.glob("tiny/trials/*"))))
        for process in train_workers():
            os.kill(process.pid, signal.SIGKILL)
            killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    ledger = run(from_dict(long), tmp_path)
    killer.join()
    assert killed
    [record] = ledger.records
    assert (record.state, record.attempts) == (TrialState.COMPLETE, 2)
    assert 0 < record.resumed_from < STEPS
    assert_undisturbed(ledger, record)


def test_a_killed_launcher_is_followed_by_one_that_goes_on(
    run: Run, long: dict[str, Any], tmp_path: Path, assert_undisturbed: Check
) -> None:
    import ray

    long["search"] = {"num_trials": 2, "start_with": [{"data.source_languages": name} for name in ("de", "hi")]}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(long))
    storage, address = tmp_path / "runs", ray.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "tests.system.launcher", str(tmp_path / "spec.yaml"), str(storage), address]
    with open(tmp_path / "launcher.log", "wb") as log:
        launcher = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)

    def is_in_the_middle() -> bool:
        folders = list(storage.glob("tiny/trials/*"))
        return any(state(folder) == "COMPLETE" for folder in folders) and any(
            state(folder) == "RUNNING" and is_under_way(folder) for folder in folders
        )

    try:
        wait_for(is_in_the_middle, still=lambda: launcher.poll() is None)
    finally:
        os.kill(launcher.pid, signal.SIGKILL)
        launcher.wait()
    folders = list(storage.glob("tiny/trials/*"))
    [complete] = [folder for folder in folders if state(folder) == "COMPLETE"]
    [interrupted] = [folder for folder in folders if state(folder) == "RUNNING"]
    before, logged = (complete / "trial.json").read_bytes(), steps(interrupted)
    ledger = run(from_dict(long), storage)
    assert (complete / "trial.json").read_bytes() == before
    assert len(ledger.records) == 2
    first, second = ledger.records
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.COMPLETE)
    assert (first.attempts, second.attempts) == (1, 2)
    assert 0 < second.resumed_from < STEPS
    assert steps(interrupted)[: len(logged)] == logged
    for record in ledger.records:
        assert_undisturbed(ledger, record)
