"""MLflow's page on a study's own store, on loopback and as small as it gets (one worker, no job runner).

It opens on the study's table: one row a run, with its source languages, searched values and score per target. MLflow
keeps such a view as a tag of the experiment.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import quote

from optical_ray.study.files import read_json
from optical_ray.study.lease import holder_of
from optical_ray.study.records import Ledger
from optical_ray.tracking.images import spec_of, targets_of
from optical_ray.tracking.mlflow import MlflowMirror
from optical_ray.tracking.names import legal
from optical_ray.tracking.store import ENVIRONMENT, connect, find_runs, is_server
from optical_ray.types import InputError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"


def serve(
    study_folder: Path,
    port: int = 5000,
    *,
    uri: str | None = None,
    experiment: str | None = None,
    say: Callable[[str], None] = print,
) -> str:
    """Serve until Ctrl-C; ``say`` gets the addresses once the page answers. Returns that of the study's table.

    ``uri`` and ``experiment`` default to those that the study was run with. What the mirror has missed is made good
    first, unless a launcher is at work. Where ``uri`` is a server, its address is said and nothing started. Raises
    ``InputError`` for a port that is taken.
    """
    mirror = MlflowMirror.of(Ledger.open(study_folder), uri, experiment)
    if not is_server(mirror.uri):
        _refuse_taken(port)
    _catch_up(mirror)
    table, parent = _pages(mirror)
    root = mirror.uri.rstrip("/") if is_server(mirror.uri) else f"http://{HOST}:{port}"
    if is_server(mirror.uri):
        _say(say, root, table, parent)
        return root + table
    log = mirror.storage / "mlflow-ui.log"
    with open(log, "ab") as stream:
        server = subprocess.Popen(
            command(mirror, port),
            env={**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=mirror.storage,
            stdout=stream,
            stderr=stream,
        )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _wait(server, f"{root}/health", log)
        _say(say, root, table, parent)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(server)
    return root + table


def view(name: str, study: Mapping[str, Any]) -> dict[str, Any]:
    """The study's table as MLflow's page keeps a view: which runs, with which columns, ordered as choices are made."""
    spec = spec_of(study)
    objective = (spec.get("search") or {}).get("objective") or "AP"
    chosen_on = f"metrics.`{legal(f'eval/{objective}/mean')}`"
    searched = [path for path in spec.get("space") or () if path != "data.source_languages"]
    return {
        "searchFilter": f'tags.`optical.study` = "{name}" and tags.`optical.kind` != "study"',
        "orderByKey": chosen_on,
        "orderByAsc": False,
        "selectedColumns": [
            "tags.`optical.source_languages`",
            *(f"params.`{legal(path)}`" for path in searched),
            *(f"metrics.`{legal(f'{objective}/{target}')}`" for target in (*targets_of(study), "mean")),
            chosen_on,
        ],
    }


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
    try:
        holder = holder_of(mirror.folder)
        if holder is not None and holder.is_alive:  # he keeps the mirror himself
            return
        mirror.close(timeout=10.0)
    except Exception as error:
        logger.warning("MLflow does not show all of %s: %s", mirror.folder.name, error)


def _pages(mirror: MlflowMirror) -> tuple[str, str]:
    """The paths of the study's table and of its parent run; of the front page where they are not there yet."""
    study = mirror.folder.name
    try:
        client = connect(mirror.uri)
        experiment = client.get_experiment_by_name(mirror.experiment_name)
        assert experiment is not None, "no experiment yet"
        parent = find_runs(client, experiment.experiment_id, study)[""]
        key = f"optical-{legal(study)}"
        wanted = json.dumps(view(study, read_json(mirror.folder / "study.json")))
        client.set_experiment_tag(experiment.experiment_id, f"mlflow.sharedViewState.{key}", wanted)
    except Exception as error:
        logger.debug("no pages of its own for %s", study, exc_info=error)
        return "/", "/"
    page = f"/#/experiments/{experiment.experiment_id}/runs"
    return (
        f"{page}?workflowType=machine_learning&viewStateShareKey={quote(key)}",
        f"{page}/{parent.info.run_id}?workflowType=machine_learning",
    )


def _say(say: Callable[[str], None], root: str, table: str, parent: str) -> None:
    say(f"MLflow: {root}{table}")
    if parent != table:
        say(f"the study's run: {root}{parent}")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


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
