"""What a tracker is, and how a spec chooses one. Imports neither MLflow nor Ray: every spec is checked against it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from optical_ray.registry import Configurable

MAX_REASON = 300


@dataclass(frozen=True)
class Problem:
    """Why a tracker cannot be updated, and what the user can do about it."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}. {self.remedy}."


class Tracker(ABC):
    """Shows one study in another place: MLflow, Prometheus, a file.

    A tracker receives no events. It reads the study's folder and brings its copy up to date, so the next ``sync`` adds
    what it missed while a server was down or the launcher was dead.
    """

    @property
    def name(self) -> str:
        """What messages call the tracker."""
        return type(self).__name__.removesuffix("Tracker")

    @property
    def destination(self) -> str:
        """Where the copy is kept, e.g. the address of a server; empty if that needs no mention."""
        return ""

    @abstractmethod
    def sync(self) -> None:
        """Bring the copy up to date. A second call without new results changes nothing. May raise any exception."""

    @abstractmethod
    def close(self, timeout: float) -> None:
        """Sync a last time, within about ``timeout`` seconds, and mark what no longer runs. May raise any exception."""

    def behind(self) -> tuple[str, ...]:
        """Keys of the trials, baselines and teachers that the copy lacks, as far as this process knows."""
        return ()

    def problem(self) -> Problem | None:
        """Why ``sync`` would fail now; None if it would succeed. Asks the server, if there is one."""
        return None

    def explain(self, error: Exception) -> Problem:
        """The reason and the remedy for an exception of ``sync`` or ``close``."""
        first_line = (str(error).splitlines() or [""])[0]
        return Problem(f"{type(error).__name__}: {first_line}"[:MAX_REASON], "See the study's log")


@dataclass(frozen=True)
class TrackerConfig(Configurable, ABC):
    """A tracker as a spec describes it. A member of the room adds its ``kind`` and its settings as fields."""

    kind: str

    @abstractmethod
    def open(self, study_folder: Path) -> Tracker:
        """The tracker of the study in ``study_folder``.

        Must return quickly and must not connect to anything: large imports and connections belong into ``sync``.
        """
