"""A verb that receives a stop signal ends in order, with exit code 128 + the signal's number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from optical_ray.cli import app
def wait():
    print("started", flush=True)
    time.sleep(60)
app.app.command("wait")(wait)
sys.argv = ["optical-ray", "wait"]
app.main()
"""


def launch(ignored: signal.Signals | None = None) -> subprocess.Popen[str]:
    def prepare() -> None:
        if ignored is not None:
            signal.signal(ignored, signal.SIG_IGN)

    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_is_reported_with_its_exit_code(number: signal.Signals) -> None:
    process = launch()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors == "optical-ray: interrupted; all results are saved. Run the same command again to resume.\n"


def test_sigint_stops_a_background_command_and_nohup_holds() -> None:
    background = launch(ignored=signal.SIGINT)
    background.send_signal(signal.SIGINT)
    background.communicate(timeout=30)
    assert background.returncode == 130
    detached = launch(ignored=signal.SIGHUP)
    detached.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        detached.wait(timeout=1)
    detached.send_signal(signal.SIGTERM)
    detached.communicate(timeout=30)
    assert detached.returncode == 143
