"""One launcher per study: a lease file with a heartbeat, taken over if its holder has died."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from optical_ray.study.files import read_json, write_json
from optical_ray.study.layout import StudyFolder
from optical_ray.types import InputError

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
"""Time between two heartbeats."""

EXPIRY_SECONDS = 60.0
"""A holder on another host counts as dead after this time without a heartbeat."""


class LeaseHeld(RuntimeError):
    """Another launcher runs this study."""


@dataclass(frozen=True)
class Holder:
    """The launcher that holds a lease.

    ``started`` distinguishes a process from a later one with the same pid; ``heartbeat`` is in seconds since the epoch.
    """

    host: str
    pid: int
    started: str
    token: str
    heartbeat: float

    @property
    def age(self) -> float:
        """Seconds since the last heartbeat."""
        return time.time() - self.heartbeat

    @property
    def is_alive(self) -> bool:
        """Whether the process exists, if it is on this host; otherwise whether its heartbeat is recent."""
        if self.host == socket.gethostname():
            return _start_time(self.pid) == self.started
        return self.age < EXPIRY_SECONDS


class Lease:
    """Context manager that holds ``lease.json`` of a study's folder.

    Raises ``LeaseHeld`` on entry if a living launcher holds it.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._path = StudyFolder(folder).lease
        self._own = Holder(socket.gethostname(), os.getpid(), _start_time(os.getpid()), uuid4().hex, time.time())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        with open(self._path.with_name(".lease.lock"), "a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)  # makes reading and taking one step; released at the end of the block
            holder = holder_of(self._folder)
            if holder is not None and holder.is_alive:
                raise LeaseHeld(
                    f"{self._folder.name}: another launcher runs this study (host {holder.host}, pid {holder.pid}, "
                    f"last heartbeat {holder.age:.0f} s ago). Wait until it ends, or stop it and run again."
                )
            write_json(self._path, asdict(self._own))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._is_own():
            self._path.unlink(missing_ok=True)

    def _keep_alive(self) -> None:
        """Write heartbeats until the end, or until another launcher has taken over (after this host slept, say)."""
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                if not self._is_own():
                    logger.warning("%s: another launcher has taken over this study", self._path)
                    return
                write_json(self._path, {**asdict(self._own), "heartbeat": time.time()})
            except OSError as error:  # a full or absent disk may come back
                logger.warning("%s: the heartbeat could not be written (%s)", self._path, error)

    def _is_own(self) -> bool:
        try:
            holder = holder_of(self._folder)
        except InputError:
            return False
        return holder is not None and holder.token == self._own.token


def holder_of(folder: Path) -> Holder | None:
    """The launcher that holds the lease of the study in ``folder``; None if it is free.

    Raises ``InputError`` if the file cannot be read.
    """
    path = StudyFolder(folder).lease
    try:
        return Holder(**read_json(path))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: not a lease that this program wrote. Remove the file if no launcher runs the study."
        ) from error


def _start_time(pid: int) -> str:
    """When process ``pid`` of this host started, in the kernel's clock ticks; empty if it does not exist."""
    try:
        os.kill(pid, 0)
        content = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "?"
    except OSError:  # systems without /proc: the pid has to do
        return "alive"
    fields = content.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
