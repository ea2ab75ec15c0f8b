"""Runs a tracker in a background thread, where its failures are logged and do not reach the study."""

from __future__ import annotations

import logging
import re
import threading

from optical_ray.tracking.interface import Problem, Tracker

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
MAX_SHOWN = 5


class BackgroundTracker(Tracker):
    """Syncs ``tracker`` every ``interval`` seconds; after failures less often, at least once a minute.

    It is a thread and not a process because it must end together with its launcher, also on ``kill -9``. A tracker
    that outlived its launcher would write at the same time as that of the next launcher.
    """

    def __init__(self, tracker: Tracker, interval: float = 5.0) -> None:
        self.tracker = tracker
        self.interval = interval
        self._problem: Problem | None = None
        self._warned: set[str] = set()
        self._wake = threading.Event()
        self._closing: float | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"{tracker.name}-sync", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        return self.tracker.name

    @property
    def destination(self) -> str:
        return self.tracker.destination

    def sync(self) -> None:
        """Request a sync; returns at once."""
        self._wake.set()

    def close(self, timeout: float) -> None:
        """Sync a last time and end the thread, within ``timeout`` seconds. Logs what is missing. Never raises."""
        self._closing = timeout
        self._wake.set()
        self._thread.join(timeout)
        if not self._closed:
            logger.warning(missing_results(self) or f"{self.name} was not closed within {timeout:g} s.")

    def behind(self) -> tuple[str, ...]:
        """Keys that the tracker reports as missing; empty if it fails."""
        try:
            return self.tracker.behind()
        except Exception as error:
            self._log(error)
            return ()

    def problem(self) -> Problem | None:
        """Why the last sync failed; None if it succeeded."""
        return self._problem

    def explain(self, error: Exception) -> Problem:
        return self.tracker.explain(error)

    def _run(self) -> None:
        pause = 0.0
        while self._closing is None:
            self._wake.wait(pause)
            self._wake.clear()
            if self._closing is None:
                succeeded = self._attempt()
                pause = self.interval if succeeded else min(max(2 * pause, self.interval), LONGEST_PAUSE)
        try:
            self.tracker.close(self._closing)
            self._closed, self._problem = True, None
        except Exception as error:
            self._log(error)

    def _attempt(self) -> bool:
        try:
            self.tracker.sync()
        except Exception as error:
            self._log(error)
            return False
        self._problem = None
        return True

    def _log(self, error: Exception) -> None:
        """Log a failure, as a warning if it is the first of its kind."""
        self._problem = self.tracker.explain(error)
        kind = re.sub(r"0x[0-9a-f]+|\d+", "", self._problem.reason)
        if kind not in self._warned:
            self._warned.add(kind)
            logger.warning("%s failed, the study continues: %s", self.name, self._problem)
        logger.debug("%s failed", self.name, exc_info=error)


def missing_results(tracker: Tracker) -> str:
    """One line that names the results which ``tracker`` lacks, and why; empty if it lacks none."""
    keys = tracker.behind()
    if not keys:
        return ""
    more = f" and {len(keys) - MAX_SHOWN} more" if len(keys) > MAX_SHOWN else ""
    problem = tracker.problem()
    return (
        f"{tracker.name} lacks {len(keys)} result{'s' * (len(keys) > 1)} of the study "
        f"({', '.join(keys[:MAX_SHOWN])}{more}){f': {problem}' if problem else '.'} "
        "The study's folder holds them; the next run of the study adds them."
    )
