"""Failures, delays and hangs of a tracker do not reach the study."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from optical_ray.tracking import BackgroundTracker, Tracker, TrackerConfig
from optical_ray.tracking.configs import configs_of, open_trackers
from optical_ray.tracking.trackers.mlflow import MlflowConfig
from optical_ray.tracking.trackers.prometheus import PrometheusConfig
from optical_ray.types import InputError
from tests.tracking.written_study import study_info


class Fake(Tracker):
    """Calls ``act`` with the number of syncs."""

    def __init__(self, act: Callable[[int], None] = lambda number: None) -> None:
        self.act = act
        self.syncs = 0
        self.closes = 0
        self.threads: set[int] = set()

    def sync(self) -> None:
        self.syncs += 1
        self.threads.add(threading.get_ident())
        self.act(self.syncs)

    def close(self, timeout: float) -> None:
        self.closes += 1
        self.act(self.syncs)

    def behind(self) -> tuple[str, ...]:
        return ("abc", "def")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_syncs_in_another_thread_and_a_last_time_when_it_is_closed() -> None:
    fake = Fake()
    background = BackgroundTracker(fake, interval=0.01)
    until(lambda: fake.syncs >= 3)
    background.close(5)
    assert fake.closes == 1
    assert threading.get_ident() not in fake.threads
    after = fake.syncs
    time.sleep(0.05)
    assert fake.syncs == after


def test_a_requested_sync_starts_at_once() -> None:
    fake = Fake()
    background = BackgroundTracker(fake, interval=60)
    until(lambda: fake.syncs == 1)
    background.sync()
    until(lambda: fake.syncs == 2)
    background.close(5)


def test_there_is_one_warning_for_each_kind_of_failure(caplog: pytest.LogCaptureFixture) -> None:
    def fail(number: int) -> None:
        raise ConnectionError(f"refused at 0x{number:x}, try {number}\nmore") if number % 2 else OSError("locked")

    fake = Fake(fail)
    with caplog.at_level(logging.WARNING):
        background = BackgroundTracker(fake, interval=0.001)
        for wanted in range(2, 8):
            background.sync()
            until(lambda wanted=wanted: fake.syncs >= wanted)  # type: ignore[misc]
        background.close(5)
    assert [record.getMessage() for record in caplog.records] == [
        "Fake failed, the study continues: ConnectionError: refused at 0x1, try 1. See the study's log.",
        "Fake failed, the study continues: OSError: locked. See the study's log.",
        f"Fake lacks 2 results of the study (abc, def): {background.problem()} "
        "The study's folder holds them; the next run of the study adds them.",
    ]


def test_it_continues_after_failures() -> None:
    def fail_twice(number: int) -> None:
        if number <= 2:
            raise OSError("down")

    fake = Fake(fail_twice)
    background = BackgroundTracker(fake, interval=0.01)
    until(lambda: fake.syncs >= 4)
    background.close(5)
    assert fake.closes == 1
    assert background.problem() is None


def test_closing_does_not_wait_for_a_tracker_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    background = BackgroundTracker(Fake(lambda number: release.wait(30) and None), interval=0.01)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        background.close(0.1)
    assert time.monotonic() - started < 2
    assert "Fake lacks 2 results" in caplog.text
    release.set()


def test_a_tracker_that_cannot_be_opened_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @dataclass(frozen=True)
    class Broken(TrackerConfig):
        kind: Literal["broken"] = "broken"

        def open(self, study_folder: Path) -> Tracker:
            raise OSError("no such device")

    with caplog.at_level(logging.WARNING):
        assert open_trackers([Broken()], tmp_path) == []
    assert "tracker 'broken' cannot be opened, the study continues without it: no such device" in caplog.text


def test_a_studys_trackers_are_those_of_its_spec(tmp_path: Path) -> None:
    info = study_info("small")
    assert configs_of(info) == [MlflowConfig(), PrometheusConfig()]
    unknown = study_info("small", experiment={"tracking": [{"kind": "mlflow"}, {"kind": "wandb"}]})
    with pytest.raises(InputError, match=r"tracking\[1\].*wandb.*expected one of mlflow, prometheus"):
        configs_of(unknown)
