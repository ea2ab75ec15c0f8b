"""Where the mirror lies: the MLflow store of a study, opened quietly, with short patience.

MLflow is imported when a store is opened, not before: it costs seconds and 160 MB.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the next sync is the retry; a repeated POST could make a run twice
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""What MLflow is told unless the user's environment says otherwise."""

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Which of MLflow's two faces an experiment shows: runs and metrics, not conversations."""


def default_uri(storage: Path) -> str:
    """The store of a storage whose studies name no tracking server."""
    return f"sqlite:///{storage.resolve() / 'mlflow.db'}"


def is_server(uri: str) -> bool:
    """Whether ``uri`` names an MLflow server (it keeps artifacts and has a page of its own)."""
    return uri.startswith(("http://", "https://", "databricks"))


def connect(uri: str) -> MlflowClient:
    """A client of the store; a fresh database gets its tables here, which takes MLflow some seconds."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # after the import, which sets them; errors reach us as exceptions
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri)


def why_unreachable(uri: str) -> str:
    """The kind of failure with which the store answers a first question; empty where it answers."""
    try:
        connect(uri).search_experiments(max_results=1)
    except Exception as error:
        return type(error).__name__
    return ""


def ensure_experiment(client: MlflowClient, uri: str, name: str, storage: Path) -> str:
    """The id of the experiment ``name``, made where there is none yet."""
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        location = None if is_server(uri) else (storage / "mlartifacts").resolve().as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=KIND))
        except MlflowException:  # somebody else was quicker
            known = client.get_experiment_by_name(name)
            if known is None:
                raise
    if known.lifecycle_stage != "active":
        raise RuntimeError(f"MLflow experiment {name!r} was deleted: restore it, or set another tracking.experiment")
    return str(known.experiment_id)


def find_runs(client: MlflowClient, experiment: str, study: str) -> dict[str, Run]:
    """The runs of ``study`` by trial key, the parent under ``""``.

    Where a run is there twice (a server that answered too late), the older one is kept and the other deleted.
    """
    quote = '"' if "'" in study else "'"
    found: list[Run] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            [experiment],
            f"tags.`optical.study` = {quote}{study}{quote}",
            max_results=1000,
            page_token=token or None,
        )
        found += page
        token = page.token or None
    runs: dict[str, Run] = {}
    for run in sorted(found, key=lambda run: (run.info.start_time, run.info.run_id)):
        key = run.data.tags.get("optical.trial_key", "")
        if runs.setdefault(key, run) is not run:
            client.delete_run(run.info.run_id)
    return runs


def keep(client: MlflowClient, run_id: str, artifacts: str, path: Path) -> None:
    """Keep ``path`` among the run's ``artifacts``: linked on the same disk (runs are large), else sent."""
    address = urlsplit(artifacts)
    if address.scheme == "file":
        kept = Path(url2pathname(address.path)) / path.name
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.unlink(missing_ok=True)
            os.link(path, kept)
            return
        except OSError:  # another disk, or one without links
            pass
    client.log_artifact(run_id, str(path))


@contextmanager
def locked(path: Path, patience: float = 10.0) -> Iterator[None]:
    """Hold the lock file ``path``: one mirror writes at a time, and one makes the tables of a fresh database.

    Raises ``TimeoutError`` after ``patience`` seconds. The lock goes with its process, however that ends.
    """
    with open(path, "a") as stream:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path}: held by another process for {patience:g} s") from None
                time.sleep(0.05)
            except OSError:  # a file system without locks
                break
        yield
