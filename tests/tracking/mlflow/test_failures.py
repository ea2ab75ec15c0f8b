"""Each failure of an MLflow store has its own reason and remedy, without passwords."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from optical_ray.tracking.interface import Problem
from optical_ray.tracking.mlflow.failures import explain, without_password
from optical_ray.tracking.mlflow.store import connect
from optical_ray.tracking.mlflow.tracker import MlflowTracker
from tests.tracking.empty_store import write_empty_store


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a server that answers every request by ``answer``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


def with_status(status: int, body: str = "<html></html>") -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.end_headers()
        request.wfile.write(body.encode())

    return answer


def problem_at(uri: str, folder: Path) -> Problem:
    problem = MlflowTracker(folder / "small", uri).problem()
    assert problem is not None
    return problem


@pytest.mark.parametrize(
    ("status", "reason", "remedy"),
    [
        (401, "access denied (status 401)", "MLFLOW_TRACKING_USERNAME"),
        (403, "access denied (status 403)", "MLFLOW_TRACKING_TOKEN"),
        (404, "no MLflow server at this address", "Correct the mlflow tracker's `uri`"),
        (500, "internal error of the server", "restart it"),
        (503, "internal error of the server", "restart it"),
    ],
)
def test_the_status_of_an_answer_determines_the_remedy(status: int, reason: str, remedy: str, tmp_path: Path) -> None:
    with server(with_status(status)) as address:
        problem = problem_at(f"http://{address}", tmp_path)
    assert problem.reason.startswith(f"http://{address}: {reason}")
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("code", "reason"), [("PERMISSION_DENIED", "access denied"), ("INTERNAL_ERROR", "internal error")]
)
def test_errors_in_mlflows_own_format_are_understood(code: str, reason: str, tmp_path: Path) -> None:
    status = {"PERMISSION_DENIED": 403, "INTERNAL_ERROR": 500}[code]
    with server(with_status(status, f'{{"error_code": "{code}", "message": "no"}}')) as address:
        assert reason in problem_at(f"http://{address}", tmp_path).reason


def test_a_server_that_is_down(tmp_path: Path) -> None:
    problem = problem_at("http://127.0.0.1:9", tmp_path)
    assert problem.reason == "http://127.0.0.1:9: cannot be reached"
    assert problem.remedy.startswith("Start the server")


def test_an_unknown_host(tmp_path: Path) -> None:
    assert "cannot be reached" in problem_at("http://no-such-host.invalid:5000", tmp_path).reason


def test_a_server_that_is_too_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with server(lambda request: time.sleep(3)) as address:
        problem = problem_at(f"http://{address}", tmp_path)
    assert problem.reason == f"http://{address}: no answer in time"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" in problem.remedy


def test_a_deleted_experiment(make_study: Any, tmp_path: Path) -> None:
    write_empty_store(tmp_path)
    tracker = MlflowTracker(make_study().folder)
    tracker.sync()
    client = connect(tracker.uri)
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    problem = tracker.problem()
    assert problem is not None
    assert "the experiment 'small' was deleted" in problem.reason
    assert f"mlflow experiments restore --experiment-id {experiment.experiment_id}" in problem.remedy
    with pytest.raises(RuntimeError, match="was deleted"):
        MlflowTracker(tracker.folder).sync()
    client.restore_experiment(experiment.experiment_id)
    assert tracker.problem() is None


def test_a_storage_that_is_locked() -> None:
    problem = explain(
        TimeoutError("/runs/.mlflow.lock: another process held the lock for 10 s"), "sqlite:////runs/x.db"
    )
    assert "another process held the lock" in problem.reason
    assert "optical-ray ui" in problem.remedy


@pytest.mark.parametrize("status", [401, 500])
def test_passwords_are_not_shown(status: int, tmp_path: Path) -> None:
    with server(with_status(status)) as address:
        assert "secret" not in str(problem_at(f"http://user:secret@{address}", tmp_path))
    error = ValueError("cannot parse http://user:secret@host/path")
    assert "secret" not in str(explain(error, "http://user:secret@host/path"))
    assert MlflowTracker(tmp_path / "small", "http://user:secret@host").destination == "http://host"


def test_addresses_without_a_password_are_unchanged() -> None:
    for uri in ("sqlite:////runs/mlflow.db", "http://host:5000", "databricks", "databricks://profile"):
        assert without_password(uri) == uri
