"""The verb ``submit``: run a study as a Ray job, with its launcher on the cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer

from optical_ray.cli.options import Settings, Spec
from optical_ray.types import InputError

AGENT_SECONDS = 60.0
"""How long a job waits for an agent of a cluster that has just started."""


def command(
    spec: Spec,
    address: Annotated[
        str, typer.Option(help="The cluster's dashboard, as in http://127.0.0.1:8265.", show_default=False)
    ],
    storage: Annotated[str, typer.Option(help="Folder that all nodes of the cluster share.", show_default=False)],
    set_: Settings = None,
    wait: Annotated[bool, typer.Option(help="Show the job's output until it ends.")] = True,  # noqa: FBT002 - an option
) -> None:
    """Run the study as a Ray job, with its launcher on the cluster; the same command resumes it."""
    raise typer.Exit(submit_study(spec, storage, set_ or [], address, wait=wait))


def submit_study(spec: Path, storage: str, settings: Sequence[str], address: str, *, wait: bool) -> int:
    """Submit ``optical-ray run`` of ``spec`` to the job server at ``address``.

    The file and ``settings`` are sent unchanged and checked on the cluster, where the data are stored. Environment
    variables in them are sent, too, if they are set here. Returns the job's exit code, or 0 without ``wait`` and after
    Ctrl-C, which does not stop the job.
    """
    from optical_ray.cli.screen.terminal import console
    from optical_ray.config.load import VARIABLE, read_spec

    read_spec(spec)
    if not PurePosixPath(storage).is_absolute():
        raise InputError(
            f"--storage {storage}: not an absolute path. Give a folder that all nodes of the cluster share."
        )
    client = _client(address)
    arguments = [
        "--address",
        "auto",
        "--storage",
        storage,
        *(part for setting in settings for part in ("--set", setting)),
    ]
    command = ["python", "-m", "optical_ray", "run", spec.name, *arguments]
    texts = (spec.read_text(encoding="utf-8"), *settings)
    variables = {name for text in texts for name, _ in VARIABLE.findall(text)}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(spec, folder)
        job = _submit(
            client,
            entrypoint=shlex.join(command),
            runtime_env={
                "working_dir": folder,
                "env_vars": {name: os.environ[name] for name in sorted(variables) if name in os.environ},
            },
            metadata={"study": spec.stem},
        )
    screen = console()
    where = f"--address {shlex.quote(address)} {job}"
    screen.print(f"submitted as {job}; stop it with: ray job stop {where}", soft_wrap=True)
    if not wait:
        screen.print(f"show its output with: ray job logs --follow {where}", soft_wrap=True)
        return 0
    try:
        asyncio.run(_follow(client, job, screen))
    except KeyboardInterrupt:
        screen.print(f"\nthe job continues; show its output with: ray job logs --follow {where}", soft_wrap=True)
        return 0
    info = client.get_job_info(job)
    if info.driver_exit_code is None:
        screen.print(f"the job is {info.status.value}: {info.message}", soft_wrap=True, markup=False)
        return 1
    return int(info.driver_exit_code)


def _submit(client: Any, **job: Any) -> str:
    """Submit ``job``; a cluster that has just started has no agent that takes jobs for some seconds."""
    deadline = time.monotonic() + AGENT_SECONDS
    while True:
        try:
            return str(client.submit_job(**job))
        except RuntimeError as error:
            if "No available agent" not in str(error):
                raise InputError(f"--address: the job server refused the job ({str(error)[:300]})") from error
            if time.monotonic() > deadline:
                raise InputError(
                    f"--address: the cluster has no agent that takes jobs (waited {AGENT_SECONDS:g} s). Try later."
                ) from error
        time.sleep(1)


def _client(address: str) -> Any:
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for name in ("dashboard_sdk", "job.sdk"):  # they log the upload
        logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.ERROR)
    logging.getLogger("ray._private.runtime_env.packaging").setLevel(logging.ERROR)
    try:
        client = JobSubmissionClient(address)
        client.list_jobs()
    except AuthenticationError as error:
        raise InputError(
            f"--address {address}: the server requires a token. Set RAY_AUTH_MODE=token and store the token in "
            "~/.ray/auth_token."
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"--address {address}: no Ray job server answers ({str(error)[:300]}). Give the dashboard's address, as in "
            "http://127.0.0.1:8265 (`ray dashboard cluster.yaml` forwards it)."
        ) from error
    return client


async def _follow(client: Any, job: str, screen: Any) -> None:
    async for lines in client.tail_job_logs(job):
        screen.print(lines, end="", soft_wrap=True, markup=False)
