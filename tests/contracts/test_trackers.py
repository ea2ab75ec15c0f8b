"""Properties of every tracker."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.registry import members
from optical_ray.study.layout import StudyFolder
from optical_ray.study.records import Ledger
from optical_ray.tracking.background import BackgroundTracker
from optical_ray.tracking.interface import MAX_REASON, Tracker, TrackerConfig
from tests.tracking.empty_store import write_empty_store
from tests.tracking.written_study import RUNNING, complete, write_study

KINDS: dict[str, type[TrackerConfig]] = members("optical_ray.tracking.trackers", TrackerConfig)  # type: ignore[type-abstract]
ABSENT_SERVER = {"mlflow": {"uri": "http://127.0.0.1:9"}}
"""Settings of the kinds that can use a server, with an address where none listens."""

each_kind = pytest.mark.parametrize("kind", KINDS)


class FakeGauge:
    """Takes the place of Ray's gauge, which needs a cluster."""

    values: dict[tuple[str, ...], float]

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.name = name

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.values[(self.name, *tags.values())] = value


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A small study."""
    monkeypatch.setattr(FakeGauge, "values", {}, raising=False)
    monkeypatch.setattr("ray.util.metrics.Gauge", FakeGauge)
    write_empty_store(tmp_path)
    return write_study(tmp_path / "small")


@pytest.fixture
def state(ledger: Ledger) -> Callable[[], dict[Any, Any]]:
    """Everything that a tracker can have written: the files of the storage, and gauges."""
    storage = ledger.folder.parent

    def read() -> dict[Any, Any]:
        files = [path for path in storage.rglob("*") if path.is_file()]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} | FakeGauge.values

    return read


def open_tracker(kind: str, ledger: Ledger, **settings: Any) -> Tracker:
    return KINDS[kind](**settings).open(ledger.folder)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@each_kind
def test_it_needs_no_settings(kind: str) -> None:
    config = KINDS[kind]()
    assert config.kind == kind
    assert config == KINDS[kind](kind=kind)
    assert hash(config) == hash(KINDS[kind]())


@each_kind
def test_opening_writes_nothing_and_imports_neither_mlflow_nor_ray(
    kind: str, ledger: Ledger, state: Callable[[], dict[Any, Any]]
) -> None:
    before = state()
    code = (
        "import sys, pathlib; from optical_ray.registry import members;"
        "from optical_ray.tracking.interface import TrackerConfig as Config;"
        f"config = members('optical_ray.tracking.trackers', Config)[{kind!r}]();"
        f"tracker = config.open(pathlib.Path({str(ledger.folder)!r}));"
        "assert tracker.name; tracker.destination; print({'mlflow', 'ray'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "set()\n"), result.stderr
    assert state() == before


@each_kind
def test_after_a_sync_nothing_is_missing(kind: str, ledger: Ledger) -> None:
    tracker = open_tracker(kind, ledger)
    tracker.sync()
    assert tracker.behind() == ()
    assert tracker.problem() is None


@each_kind
@pytest.mark.parametrize("reopened", [False, True])
def test_a_second_sync_changes_nothing(
    kind: str, reopened: bool, ledger: Ledger, state: Callable[[], dict[Any, Any]]
) -> None:
    tracker = open_tracker(kind, ledger)
    tracker.sync()
    before = state()
    (open_tracker(kind, ledger) if reopened else tracker).sync()
    assert state() == before


@each_kind
def test_the_studys_own_files_are_not_changed(kind: str, ledger: Ledger, state: Callable[[], dict[Any, Any]]) -> None:
    own = {path for path in state() if ledger.folder in path.parents}
    before = {path: digest for path, digest in state().items() if path in own}
    tracker = open_tracker(kind, ledger)
    tracker.sync()
    tracker.close(5)
    assert {path: digest for path, digest in state().items() if path in own} == before


@each_kind
def test_a_new_result_is_added(kind: str, ledger: Ledger, state: Callable[[], dict[Any, Any]]) -> None:
    tracker = open_tracker(kind, ledger)
    tracker.sync()
    before = state()
    complete(ledger, RUNNING)
    written = state()
    tracker.sync()
    assert state() != written
    assert before.keys() <= state().keys()
    assert tracker.behind() == ()


@each_kind
def test_it_can_be_closed_at_once_and_twice(kind: str, ledger: Ledger) -> None:
    tracker = open_tracker(kind, ledger)
    tracker.close(5)
    tracker.close(5)
    assert tracker.behind() == ()


@each_kind
def test_a_failure_is_logged_and_what_was_missed_is_added_later(
    kind: str, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    info = StudyFolder(ledger.folder).info
    content = info.read_bytes()
    info.write_text("damaged")
    with caplog.at_level(logging.WARNING):
        background = BackgroundTracker(open_tracker(kind, ledger), interval=0.05)
        wait_until(lambda: background.problem() is not None)
        info.write_bytes(content)
        wait_until(lambda: background.problem() is None)
        background.close(10)
    assert f"{background.name} failed, the study continues" in caplog.text
    assert background.behind() == ()


@pytest.mark.parametrize("kind", ABSENT_SERVER.keys() & KINDS.keys())
def test_an_absent_server_does_not_stop_the_study(kind: str, ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    tracker = open_tracker(kind, ledger, **ABSENT_SERVER[kind])
    problem = tracker.problem()
    assert problem is not None
    assert "127.0.0.1:9" in problem.reason
    with caplog.at_level(logging.WARNING):
        background = BackgroundTracker(tracker, interval=0.05)
        wait_until(lambda: background.problem() is not None)
        background.close(10)
    assert background.behind()
    assert background.problem() == problem
    assert str(problem) in caplog.text


@each_kind
def test_every_failure_has_a_bounded_reason_and_a_remedy(kind: str, ledger: Ledger) -> None:
    problem = open_tracker(kind, ledger).explain(ValueError("first line " + "x" * 9000 + "\nsecond line"))
    assert "first line" in problem.reason
    assert len(problem.reason) <= MAX_REASON
    assert "\n" not in str(problem)
    assert problem.remedy
