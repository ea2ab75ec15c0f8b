"""A mirror that fails, hangs or is late never reaches the study."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from optical_ray.tracking import BackgroundTracker, Tracker


class Fake(Tracker):
    """Does what it is told in ``act`` on every sync."""

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


def test_syncs_by_itself_in_another_thread_and_once_more_at_the_end() -> None:
    fake = Fake()
    background = BackgroundTracker(fake, interval=0.01)
    until(lambda: fake.syncs >= 3)
    background.close(5)
    assert fake.closes == 1
    assert threading.get_ident() not in fake.threads
    after = fake.syncs
    time.sleep(0.05)
    assert fake.syncs == after


def test_asking_for_a_sync_is_quick_and_heard() -> None:
    fake = Fake()
    background = BackgroundTracker(fake, interval=60)
    until(lambda: fake.syncs == 1)
    background.sync()
    until(lambda: fake.syncs == 2)
    background.close(5)


def test_one_warning_for_each_kind_of_failure(caplog: pytest.LogCaptureFixture) -> None:
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
        "Fake failed, the study goes on: ConnectionError: refused at 0x1, try 1",
        "Fake failed, the study goes on: OSError: locked",
        "Fake: 2 runs are not up to date (abc, def); nothing is lost, the next run of the study makes it good",
    ]


def test_it_goes_on_after_failures() -> None:
    def fail_twice(number: int) -> None:
        if number <= 2:
            raise OSError("down")

    fake = Fake(fail_twice)
    background = BackgroundTracker(fake, interval=0.01)
    until(lambda: fake.syncs >= 4)
    background.close(5)
    assert fake.closes == 1


def test_a_hanging_mirror_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    background = BackgroundTracker(Fake(lambda number: release.wait(30) and None), interval=0.01)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        background.close(0.1)
    assert time.monotonic() - started < 2
    assert "2 runs are not up to date" in caplog.text
    release.set()
