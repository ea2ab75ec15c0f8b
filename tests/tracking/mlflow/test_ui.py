"""MLflow's page for a study: on the loopback interface, opened at the study's table, ended with its command."""

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

from optical_ray.tracking.mlflow.ui import serve, table_view
from optical_ray.types import InputError
from tests.tracking.written_study import study_info


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_is_an_error_before_anything_starts(make_study: Any) -> None:
    folder = make_study().folder
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"{port} .* Choose another port"):
            serve(folder, port)
    assert not (folder.parent / "mlflow.db").exists()


def test_the_table_shows_test_scores_ordered_by_eval_scores() -> None:
    view = table_view(study_info("small", targets=("sw",)))
    assert view["orderByKey"] == "metrics.`eval/AP/mean`"
    assert view["searchFilter"].startswith('tags.`optical.study_id` = "id-of-small"')
    assert view["selectedColumns"] == [
        "tags.`optical.source_languages`",
        "params.`loss.solver.epsilon`",
        "metrics.`AP/sw`",
        "metrics.`AP/mean`",
        "metrics.`eval/AP/mean`",
    ]


@pytest.mark.slow
def test_it_serves_until_it_is_terminated(make_study: Any) -> None:
    folder, port = make_study().folder, free_port()
    code = (
        "import sys, pathlib; from optical_ray.tracking.mlflow.ui import serve;"
        f"serve(pathlib.Path({str(folder)!r}), {port}, report=lambda line: print(line, flush=True))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert command.stdout is not None
    try:
        output = command.stdout.readline() + command.stdout.readline()
        assert re.search(
            rf"http://127\.0\.0\.1:{port}/#/experiments/\d+/runs\?\S*viewStateShareKey=optical-id-of-small", output
        )
        assert re.search(rf"http://127\.0\.0\.1:{port}/#/experiments/\d+/runs/[0-9a-f]{{32}}", output)
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
