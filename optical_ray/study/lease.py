"""One launcher a study: a lease with a heartbeat, taken over when its holder is dead."""

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
from optical_ray.types import InputError

logger = logging.getLogger(__name__)

HEARTBEAT = 5.0
"""Seconds between two signs of life."""

PATIENCE = 60.0
"""Seconds without a sign of life after which a holder on another host counts as dead."""


class LeaseHeld(RuntimeError):
    """Another launcher runs this study."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease; ``started`` tells a process from a later one of the same pid."""

    host: str
    pid: int
    started: str
    token: str
    beat: float

    @property
    def age(self) -> float:
        """Seconds since the last sign of life."""
        return time.time() - self.beat

    @property
    def is_alive(self) -> bool:
        """Whether the process lives, where it can be seen; else whether it gave a sign of life lately."""
        if self.host == socket.gethostname():
            return _start_of(self.pid) == self.started
        return self.age < PATIENCE


class Lease:
    """``lease.json`` of a study's folder, held while the block runs.

    Raises ``LeaseHeld`` where a living launcher has it.
    """

    def __init__(self, folder: Path):
        self._path = folder / "lease.json"
        self._me = Holder(socket.gethostname(), os.getpid(), _start_of(os.getpid()), uuid4().hex, time.time())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        with open(self._path.with_name(".lease.lock"), "a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)  # looking and taking are one act; let go of at the end of the block
            holder = holder_of(self._path.parent)
            if holder is not None and holder.is_alive:
                raise LeaseHeld(
                    f"{self._path.parent.name}: another launcher runs this study "
                    f"(host {holder.host}, pid {holder.pid}, last sign of life {holder.age:.0f} s ago); "
                    "wait for it, or stop it and run again"
                )
            write_json(self._path, asdict(self._me))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._is_mine():
            self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        """Give signs of life until the end, or until another launcher has taken over (this host slept, say)."""
        while not self._ended.wait(HEARTBEAT):
            try:
                if not self._is_mine():
                    logger.warning("%s: another launcher has taken over this study", self._path)
                    return
                write_json(self._path, {**asdict(self._me), "beat": time.time()})
            except OSError as error:  # a full or absent disk may come back
                logger.warning("%s: no sign of life could be written (%s)", self._path, error)

    def _is_mine(self) -> bool:
        try:
            holder = holder_of(self._path.parent)
        except InputError:
            return False
        return holder is not None and holder.token == self._me.token


def holder_of(folder: Path) -> Holder | None:
    """Who holds the lease of the study in ``folder``; ``None`` where nobody does.

    Raises ``InputError`` where the file cannot be understood.
    """
    path = folder / "lease.json"
    try:
        return Holder(**read_json(path))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: no lease that this program wrote; remove the file if no launcher runs the study"
        ) from error


def _start_of(pid: int) -> str:
    """When process ``pid`` of this host started, in the kernel's words; empty where there is none."""
    try:
        os.kill(pid, 0)
        content = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "?"
    except OSError:  # no /proc on this system: the pid alone must do
        return "alive"
    fields = content.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
