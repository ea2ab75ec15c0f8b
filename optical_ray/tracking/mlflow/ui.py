"""Serves MLflow's page for a study on the loopback interface, with one worker and no job runner.

The page opens on the study's table: a row for each run with its source languages, searched values and score per
target. MLflow stores such a view as a tag of the experiment.
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
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import quote

from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import StorageFolder
from optical_ray.study.lease import holder_of
from optical_ray.tracking.configs import configs_of
from optical_ray.tracking.mlflow.names import EVAL, PREFIXES, TEST, legal_name
from optical_ray.tracking.mlflow.runs import SOURCES
from optical_ray.tracking.mlflow.store import ENVIRONMENT, connect, find_runs, is_server
from optical_ray.tracking.mlflow.tracker import PARENT, MlflowTracker
from optical_ray.tracking.trackers.mlflow import MlflowConfig
from optical_ray.types import InputError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"


def serve(study_folder: Path, port: int = 5000, *, report: Callable[[str], None] = print) -> str:
    """Serve until Ctrl-C or SIGTERM; returns the address of the study's table.

    ``report`` receives the addresses once the page answers. Results that MLflow lacks are added first, unless a
    launcher is running. If the study is tracked by an MLflow server, only that server's addresses are reported.
    Raises ``InputError`` if the port is taken.
    """
    info = StudyInfo.read(study_folder)
    tracker = _tracker_of(info, study_folder)
    if not is_server(tracker.uri):
        _check_port(port)
    _add_missing_results(tracker)
    table, parent = _pages(tracker, info)
    if is_server(tracker.uri):
        root = tracker.destination.rstrip("/")
        _report_addresses(report, root, table, parent)
        return root + table
    root, log = f"http://{HOST}:{port}", tracker.storage / "mlflow-ui.log"
    with open(log, "ab") as stream:
        server = subprocess.Popen(
            command(tracker, port),
            env={**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=tracker.storage,
            stdout=stream,
            stderr=stream,
        )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _wait_until_ready(server, f"{root}/health", log)
        _report_addresses(report, root, table, parent)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        _terminate(server)
    return root + table


def table_view(info: StudyInfo) -> dict[str, Any]:
    """The study's table as MLflow stores it: a filter, columns, and the order by the score that selects trials."""
    objective = info.objective
    selecting = f"metrics.`{legal_name(f'{PREFIXES[EVAL]}{objective}/mean')}`"
    searched = [path for path in info.experiment.get("space", ()) if path != SOURCES]
    scores = [legal_name(f"{PREFIXES[TEST]}{objective}/{target}") for target in (*info.targets, "mean")]
    return {
        "searchFilter": f'tags.`optical.study_id` = "{info.study_id}" and tags.`optical.kind` != "study"',
        "orderByKey": selecting,
        "orderByAsc": False,
        "selectedColumns": [
            "tags.`optical.source_languages`",
            *(f"params.`{legal_name(path)}`" for path in searched),
            *(f"metrics.`{score}`" for score in scores),
            selecting,
        ],
    }


def command(tracker: MlflowTracker, port: int) -> list[str]:
    """The command line of MLflow's server."""
    options = {
        "backend-store-uri": tracker.uri,
        "default-artifact-root": StorageFolder(tracker.storage).mlflow_artifacts.as_uri(),
        "host": HOST,
        "port": str(port),
        "workers": "1",
        "allowed-hosts": f"{HOST}:{port},localhost:{port}",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "mlflow", "server", *arguments]


def _tracker_of(info: StudyInfo, study_folder: Path) -> MlflowTracker:
    """The study's first MLflow tracker; one with the default settings if the study has none."""
    configs = [config for config in configs_of(info) if isinstance(config, MlflowConfig)]
    config = configs[0] if configs else MlflowConfig()
    return MlflowTracker(study_folder, config.uri, config.experiment)


def _add_missing_results(tracker: MlflowTracker) -> None:
    try:
        holder = holder_of(tracker.folder)
        if holder is not None and holder.is_alive:  # the running launcher already syncs
            return
        tracker.close(timeout=10.0)
    except Exception as error:
        logger.warning("MLflow does not show all of %s: %s", tracker.folder.name, tracker.explain(error))


def _pages(tracker: MlflowTracker, info: StudyInfo) -> tuple[str, str]:
    """The paths of the study's table and of its parent run; ``/`` for both if MLflow does not show the study."""
    try:
        client = connect(tracker.uri)
        experiment = client.get_experiment_by_name(tracker.experiment_name)
        assert experiment is not None, "the experiment does not exist"
        parent = find_runs(client, experiment.experiment_id, info.study_id)[PARENT]
        key = f"optical-{info.study_id}"
        view = json.dumps(table_view(info))
        client.set_experiment_tag(experiment.experiment_id, f"mlflow.sharedViewState.{key}", view)
    except Exception as error:
        logger.debug("%s has no pages in MLflow", info.name, exc_info=error)
        return "/", "/"
    page = f"/#/experiments/{experiment.experiment_id}/runs"
    return (
        f"{page}?workflowType=machine_learning&viewStateShareKey={quote(key)}",
        f"{page}/{parent.info.run_id}?workflowType=machine_learning",
    )


def _report_addresses(report: Callable[[str], None], root: str, table: str, parent: str) -> None:
    report(f"MLflow: {root}{table}")
    if parent != table:
        report(f"the study's run: {root}{parent}")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"--port: {port} on {HOST} cannot be used ({error.strerror}). Choose another port."
            ) from error


def _wait_until_ready(server: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise InputError(f"MLflow's server did not start. See its output in {log}.")


def _terminate(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
