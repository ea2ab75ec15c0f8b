"""The page of a study's store: on loopback, on the study's table, gone when its command goes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from optical_ray.tracking.ui import serve, view
from optical_ray.types import InputError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_is_refused_before_anything_starts(plant: Any) -> None:
    folder = plant().folder
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} .* choose another"):
            serve(folder, port)
    assert not (folder.parent / "mlflow.db").exists()


def test_the_table_shows_test_scores_in_the_order_of_eval_scores() -> None:
    made = view("s", {"targets": ["sw"], "experiment": {"space": {"loss.solver.epsilon": {}}}})
    assert made["orderByKey"] == "metrics.`eval/AP/mean`"
    assert made["selectedColumns"] == [
        "tags.`optical.source_languages`",
        "params.`loss.solver.epsilon`",
        "metrics.`AP/sw`",
        "metrics.`AP/mean`",
        "metrics.`eval/AP/mean`",
    ]


@pytest.mark.slow
def test_it_serves_until_told_to_end(plant: Any) -> None:
    folder, port = plant().folder, free_port()
    code = (
        "import sys, pathlib; from optical_ray.tracking.ui import serve;"
        f"serve(pathlib.Path({str(folder)!r}), {port}, say=lambda line: print(line, flush=True))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert command.stdout is not None
    try:
        said = command.stdout.readline() + command.stdout.readline()
        assert re.search(
            rf"http://127\.0\.0\.1:{port}/#/experiments/\d+/runs\?\S*viewStateShareKey=optical-planted", said
        )
        assert re.search(rf"http://127\.0\.0\.1:{port}/#/experiments/\d+/runs/[0-9a-f]{{32}}", said)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert page.status == 200
        stranger = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": "elsewhere.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(stranger, timeout=10)
    finally:
        command.send_signal(signal.SIGTERM)
        assert command.wait(20) == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
