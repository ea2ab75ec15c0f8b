"""Turns an exception of MLflow into a reason and a remedy for the user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from optical_ray.tracking.interface import MAX_REASON, Problem

STATUS_CODE = re.compile(r"failed with error code (\d{3})")


class DeletedExperiment(RuntimeError):
    """The experiment was deleted in MLflow, where its name is still taken."""

    def __init__(self, name: str, experiment_id: str) -> None:
        super().__init__(f"the experiment {name!r} was deleted")
        self.experiment_id = experiment_id


def explain(error: Exception, uri: str) -> Problem:
    """Why an update of the store at ``uri`` failed, and what to do.

    Everything that was missed is added by a later update, so a remedy never includes repeating the study.
    """
    store = without_password(uri)
    messages = " ".join(str(cause) for cause in _causes(error))
    names = {type(cause).__name__ for cause in _causes(error)}
    status = _status(error)
    if isinstance(error, DeletedExperiment):
        return Problem(
            f"{store}: {error}",
            f"Restore it with `mlflow experiments restore --experiment-id {error.experiment_id}`, or set another "
            "`experiment` for the mlflow tracker",
        )
    if isinstance(error, TimeoutError):
        return Problem(str(error), "Close other programs that write to this storage, such as `optical-ray ui`")
    if status in (401, 403):
        return Problem(
            f"{store}: access denied (status {status})",
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to an account that "
            "may write",
        )
    if status == 404:
        return Problem(f"{store}: no MLflow server at this address (status 404)", "Correct the mlflow tracker's `uri`")
    if "database is locked" in messages:
        return Problem(f"{store}: the database is locked", "End other programs that write to it")
    if names & {"Timeout", "ConnectTimeout", "ReadTimeout"} or "timed out" in messages:
        return Problem(
            f"{store}: no answer in time",
            "Check the server's load; MLFLOW_HTTP_REQUEST_TIMEOUT sets the longest wait in seconds",
        )
    if names & {"ConnectionError", "NewConnectionError", "ConnectionRefusedError", "gaierror", "SSLError"}:
        return Problem(f"{store}: cannot be reached", "Start the server, or correct the mlflow tracker's `uri`")
    if (status is not None and status >= 500) or "too many 5" in messages:
        return Problem(f"{store}: internal error of the server", "See the server's own log, and restart it")
    first_line = (str(error).splitlines() or [""])[0].replace(uri, store)
    return Problem(f"{store}: {type(error).__name__}: {first_line}"[:MAX_REASON], "See the study's log")


def without_password(uri: str) -> str:
    """``uri`` without a user name and password.

    >>> without_password("https://me:secret@mlflow.example:5000/x")
    'https://mlflow.example:5000/x'
    """
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


def _status(error: Exception) -> int | None:
    """The HTTP status of the server's answer; None if the server did not answer."""
    match = STATUS_CODE.search(str(error))
    if match:
        return int(match[1])
    answer = getattr(error, "json", None)  # only an exception that holds the server's answer has it
    status = error.get_http_status_code() if answer is not None and hasattr(error, "get_http_status_code") else None
    return int(status) if status is not None else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
