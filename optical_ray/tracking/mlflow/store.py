"""Connects to an MLflow store without messages on the terminal and with short timeouts.

MLflow is imported when a store is opened, because the import takes seconds and 160 MB.
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

from optical_ray.study.layout import StorageFolder
from optical_ray.tracking.mlflow.failures import DeletedExperiment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the next sync is the retry; a repeated POST could create a run twice
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow's settings, unless the user's environment sets them."""

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Makes MLflow's page open on runs and metrics instead of traces."""


def default_uri(storage: Path) -> str:
    """The database in the storage, which is used if the spec names no tracking server."""
    return f"sqlite:///{StorageFolder(storage.resolve()).mlflow_database}"


def is_server(uri: str) -> bool:
    """Whether ``uri`` is an MLflow server, which stores artifacts and serves its own page."""
    return uri.startswith(("http://", "https://", "databricks"))


def connect(uri: str) -> MlflowClient:
    """A client of the store. The first use of a new database creates its tables, which takes some seconds."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # the import sets their levels; errors reach us as exceptions
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri)


def ensure_experiment(client: MlflowClient, uri: str, name: str, storage: Path) -> str:
    """The id of the experiment ``name``, which is created if it does not exist.

    Raises ``DeletedExperiment`` if it was deleted in MLflow.
    """
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if is_server(uri) else StorageFolder(storage.resolve()).mlflow_artifacts.as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
        except MlflowException:  # another process may have created it in the meantime
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        raise DeletedExperiment(name, str(experiment.experiment_id))
    return str(experiment.experiment_id)


def find_runs(client: MlflowClient, experiment: str, study_id: str) -> dict[str, Run]:
    """The runs of a study by trial key; the key of the parent run is empty.

    If a key has two runs, because a server answered too late, the older run is kept and the other one is deleted.
    """
    runs: list[Run] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            [experiment], f"tags.`optical.study_id` = '{study_id}'", max_results=1000, page_token=token or None
        )
        runs += page
        token = page.token or None
    by_key: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id)):
        key = run.data.tags.get("optical.trial_key", "")
        if by_key.setdefault(key, run) is not run:
            client.delete_run(run.info.run_id)
    return by_key


def store_artifact(client: MlflowClient, run_id: str, artifact_uri: str, path: Path) -> None:
    """Store the file ``path`` as an artifact of a run: as a hard link on the same disk, else as a copy."""
    address = urlsplit(artifact_uri)
    if address.scheme == "file":
        link = Path(url2pathname(address.path)) / path.name
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            os.link(path, link)
            return
        except OSError:  # another disk, or a file system without links
            pass
    client.log_artifact(run_id, str(path))


@contextmanager
def locked(path: Path, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock file ``path``, so that one process at a time writes runs and creates tables.

    Raises ``TimeoutError`` after ``timeout`` seconds. The lock ends with its process, however that ends.
    """
    with open(path, "a") as stream:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path}: another process held the lock for {timeout:g} s") from None
                time.sleep(0.05)
            except OSError:  # a file system without locks
                break
        yield
