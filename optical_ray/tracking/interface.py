"""What the sweep knows of tracking: a mirror of the ledger that is brought up to date now and then."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Tracker(ABC):
    """A mirror of one study's folder.

    Nothing is ever *told* to a tracker: it reads the ledger and makes its mirror agree. So what a tracker missed while
    its server was away, or while the launcher was dead, is made good by the next ``sync``.
    """

    @abstractmethod
    def sync(self) -> None:
        """Bring the mirror up to date; doing it twice changes nothing. May raise: see ``BackgroundTracker``."""

    @abstractmethod
    def close(self, timeout: float) -> None:
        """The launcher goes: say in the mirror what will not go on, within about ``timeout`` seconds."""

    def behind(self) -> tuple[str, ...]:
        """Keys of what the mirror does not show yet, by what is known without asking it."""
        return ()
