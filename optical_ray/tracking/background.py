"""A tracker in a thread of its own, whose failures are logged and survived: no trial waits for a mirror."""

from __future__ import annotations

import logging
import re
import threading

from optical_ray.tracking.interface import Tracker

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
LONGEST_WORD = 300


class BackgroundTracker(Tracker):
    """Syncs ``tracker`` every ``interval`` seconds; after failures less often, up to once a minute.

    It is a thread and not a process because it must end with its launcher, also under ``kill -9``: a mirror that
    outlived it would write beside the mirror of the next launcher.
    """

    def __init__(self, tracker: Tracker, interval: float = 5.0) -> None:
        self.tracker = tracker
        self.interval = interval
        self._warned: set[str] = set()
        self._wake = threading.Event()
        self._closing: float | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"{type(tracker).__name__}-sync", daemon=True)
        self._thread.start()

    def sync(self) -> None:
        """Ask for a sync soon; returns at once."""
        self._wake.set()

    def close(self, timeout: float) -> None:
        """Sync once more and end, within ``timeout`` seconds; what was missed is logged. Never raises."""
        self._closing = timeout
        self._wake.set()
        self._thread.join(timeout)
        if not self._closed:
            logger.warning("%s: %s", type(self.tracker).__name__, self._missed())

    def behind(self) -> tuple[str, ...]:
        """What the tracker says; nothing where it cannot say."""
        try:
            return self.tracker.behind()
        except Exception as error:
            self._survive(error)
            return ()

    def _run(self) -> None:
        pause = 0.0
        while self._closing is None:
            self._wake.wait(pause)
            self._wake.clear()
            if self._closing is None:
                good = self._attempt()
                pause = self.interval if good else min(max(2 * pause, self.interval), LONGEST_PAUSE)
        try:
            self.tracker.close(self._closing)
            self._closed = True
        except Exception as error:
            self._survive(error)

    def _attempt(self) -> bool:
        try:
            self.tracker.sync()
        except Exception as error:
            self._survive(error)
            return False
        return True

    def _survive(self, error: Exception) -> None:
        first = (str(error).splitlines() or [""])[0]
        said = f"{type(error).__name__}: {first}"[:LONGEST_WORD]
        kind = re.sub(r"0x[0-9a-f]+|\d+", "", said)
        if kind not in self._warned:
            self._warned.add(kind)
            logger.warning("%s failed, the study goes on: %s", type(self.tracker).__name__, said)
        logger.debug("%s failed", type(self.tracker).__name__, exc_info=error)

    def _missed(self) -> str:
        missed = self.behind()
        shown = ", ".join(missed[:5]) + (f" and {len(missed) - 5} more" if len(missed) > 5 else "")
        what = f"{len(missed)} runs are not up to date ({shown})" if missed else "the last state was not said"
        return f"{what}; nothing is lost, the next run of the study makes it good"
