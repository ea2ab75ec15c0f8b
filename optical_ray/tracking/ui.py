"""MLflow's page on a study's own store, on loopback and as small as it gets (one worker, no job runner)."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from optical_ray.tracking.mlflow import MlflowMirror
from optical_ray.tracking.store import ENVIRONMENT, connect, find_runs, is_server
from optical_ray.types import InputError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
FRESH = 120.0
"""A lease touched within so many seconds belongs to a living launcher, who keeps the mirror himself."""


def serve(
    study_folder: Path,
    port: int = 5000,
    *,
    uri: str | None = None,
    experiment: str | None = None,
    say: Callable[[str], None] = print,
) -> str:
    """Serve until Ctrl-C; ``say`` gets the address once the page answers. Returns the address.

    What the mirror has missed is made good first, unless a launcher is at work. Where ``uri`` is a server, its address
    is said and nothing started. Raises ``InputError`` for a port that is taken.
    """
    mirror = MlflowMirror(study_folder, uri, experiment)
    _catch_up(mirror)
    if is_server(mirror.uri):
        address = mirror.uri.rstrip("/") + _page(mirror)
        say(address)
        return address
    _refuse_taken(port)
    address = f"http://{HOST}:{port}{_page(mirror)}"
    log = mirror.storage / "mlflow-ui.log"
    with open(log, "ab") as stream:
        server = subprocess.Popen(
            command(mirror, port),
            env={**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=mirror.storage,
            stdout=stream,
            stderr=stream,
        )
    try:
        _wait(server, f"http://{HOST}:{port}/health", log)
        say(address)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        _end(server)
    return address


def command(mirror: MlflowMirror, port: int) -> list[str]:
    """The server's command line."""
    options = {
        "backend-store-uri": mirror.uri,
        "default-artifact-root": (mirror.storage / "mlartifacts").as_uri(),
        "host": HOST,
        "port": str(port),
        "workers": "1",
        "allowed-hosts": f"{HOST}:{port},localhost:{port}",
    }
    given = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "mlflow", "server", *given]


def _catch_up(mirror: MlflowMirror) -> None:
    lease = mirror.folder / "lease.json"
    if lease.exists() and time.time() - lease.stat().st_mtime < FRESH:
        return
    try:
        mirror.close(timeout=10.0)
    except Exception as error:
        logger.warning("MLflow does not show all of %s: %s", mirror.folder.name, error)


def _page(mirror: MlflowMirror) -> str:
    """The path of the parent run's page; of the front page where it is not there yet."""
    try:
        client = connect(mirror.uri)
        experiment = client.get_experiment_by_name(mirror.experiment_name)
        assert experiment is not None, "no experiment yet"
        parent = find_runs(client, experiment.experiment_id, mirror.folder.name)[""]
    except Exception as error:
        logger.debug("no page of its own for %s", mirror.folder.name, exc_info=error)
        return ""
    return f"/#/experiments/{experiment.experiment_id}/runs/{parent.info.run_id}"


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(f"port {port} on {HOST} cannot be had ({error.strerror}): choose another") from error


def _wait(server: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise InputError(f"MLflow's server did not start; its words are in {log}")


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
