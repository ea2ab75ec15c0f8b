"""One launcher a study: the living are respected, the dead are followed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from optical_ray.study import lease
from optical_ray.study.lease import EXPIRY_SECONDS, Holder, Lease, LeaseHeld, holder_of
from optical_ray.types import InputError

HOLDS = """
import sys, time
from pathlib import Path
from optical_ray.study.lease import Lease
with Lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease of ``tmp_path``."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def me() -> Holder:
    return Lease(Path("anywhere"))._own


def plant(folder: Path, holder: Holder) -> None:
    (folder / "lease.json").write_text(json.dumps(asdict(holder)))


def test_it_is_there_while_the_block_runs_and_gone_after_it(tmp_path: Path) -> None:
    with Lease(tmp_path):
        holder = holder_of(tmp_path)
        assert holder is not None
        assert (holder.host, holder.pid, holder.is_alive) == (socket.gethostname(), os.getpid(), True)
    assert holder_of(tmp_path) is None


def test_it_is_gone_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Lease(tmp_path):
        raise KeyError
    assert holder_of(tmp_path) is None


def test_a_second_launcher_of_this_process_is_refused(tmp_path: Path) -> None:
    with Lease(tmp_path):
        with pytest.raises(LeaseHeld, match=str(os.getpid())), Lease(tmp_path):
            pass
        assert holder_of(tmp_path) is not None


def test_a_living_process_is_respected_and_a_killed_one_followed(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(LeaseHeld, match=rf"host {socket.gethostname()}, pid {other.pid},"), Lease(tmp_path):
        pass
    other.send_signal(signal.SIGKILL)
    other.wait()
    with Lease(tmp_path):
        holder = holder_of(tmp_path)
        assert holder is not None
        assert holder.pid == os.getpid()
    assert holder_of(tmp_path) is None


def test_a_killed_process_that_nobody_has_waited_for_is_dead(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    holder = holder_of(tmp_path)
    assert holder is not None
    for _ in range(200):  # it is a zombie once the kernel has done its part
        if not holder.is_alive:
            break
        time.sleep(0.02)
    assert not holder.is_alive


def test_a_later_process_of_the_same_pid_does_not_count(tmp_path: Path) -> None:
    plant(tmp_path, replace(me(), started="12345", token="theirs"))
    with Lease(tmp_path):
        holder = holder_of(tmp_path)
        assert holder is not None
        assert holder.token != "theirs"


@pytest.mark.parametrize(("age", "dead"), [(EXPIRY_SECONDS - 30, False), (EXPIRY_SECONDS + 30, True)])
def test_a_holder_on_another_host_is_judged_by_its_last_sign_of_life(tmp_path: Path, age: float, dead: bool) -> None:
    plant(tmp_path, replace(me(), host="elsewhere", token="theirs", heartbeat=time.time() - age))
    if dead:
        with Lease(tmp_path):
            pass
        assert holder_of(tmp_path) is None
    else:
        with pytest.raises(LeaseHeld, match="elsewhere"), Lease(tmp_path):
            pass
        holder = holder_of(tmp_path)
        assert holder is not None
        assert holder.token == "theirs"


def test_the_holder_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    with Lease(tmp_path):
        first = holder_of(tmp_path)
        assert first is not None
        for _ in range(500):
            later = holder_of(tmp_path)
            assert later is not None
            if later.heartbeat > first.heartbeat:
                break
            time.sleep(0.01)
        assert later.heartbeat > first.heartbeat
        assert later.token == first.token


def test_a_disk_that_fails_for_a_while_does_not_end_the_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    write, calls = lease.write_json, iter(range(10**9))
    written = threading.Event()

    def full_at_first(path: Path, value: object) -> None:
        if next(calls) < 3:
            raise OSError("No space left on device")
        write(path, value)
        written.set()

    with Lease(tmp_path):
        monkeypatch.setattr(lease, "write_json", full_at_first)
        assert written.wait(timeout=10)
    assert "No space left" in caplog.text


def test_who_lost_the_lease_does_not_take_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher that slept while another took over: its heart beats again, but not for this study."""
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    with Lease(tmp_path) as mine:
        follower = replace(me(), host="elsewhere", token="follower", heartbeat=time.time())
        plant(tmp_path, follower)
        mine._thread.join(timeout=10)
        assert not mine._thread.is_alive()
        assert holder_of(tmp_path) == follower
    assert holder_of(tmp_path) == follower


def test_of_many_launchers_over_a_dead_one_exactly_one_goes(tmp_path: Path) -> None:
    plant(tmp_path, replace(me(), token="dead", started="1"))
    begin, end = threading.Barrier(8), threading.Barrier(8)
    held: list[int] = []
    refused: list[int] = []

    def launch(number: int) -> None:
        begin.wait()
        try:
            with Lease(tmp_path):
                held.append(number)
                end.wait(timeout=30)
        except LeaseHeld:
            refused.append(number)
            end.wait(timeout=30)

    threads = [threading.Thread(target=launch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 7)
    assert [path.name for path in tmp_path.iterdir()] == [".lease.lock"]


@pytest.mark.parametrize("content", ["", "{", '{"host": "a"}', "[]"])
def test_a_lease_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "lease.json").write_text(content)
    with pytest.raises(InputError, match=r"lease\.json.*Remove"), Lease(tmp_path):
        pass
