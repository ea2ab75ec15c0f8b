"""What a worker tells its launcher: one value per report, sent as plain JSON types through Ray Train and Ray Tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

EVENT = "event"


@dataclass(frozen=True)
class Started:
    """The driver of trial ``key`` is about to start its workers."""

    key: str
    step: int = 0
    objective: float = 0.0


@dataclass(frozen=True)
class Progressed:
    """Metric rows since the last report.

    ``attempt`` identifies one start of the worker group, ``resumed_from`` is the step at which that start began (0:
    from scratch). ``objective`` is the latest value of what the search maximises.
    """

    key: str
    step: int
    attempt: str
    resumed_from: int
    objective: float = 0.0
    rows: Sequence[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Completed(Progressed):
    """The last report of a trial; all of its files are written."""


@dataclass(frozen=True)
class Failed:
    """The trial cannot succeed (its loss is not finite, for example): another attempt would only repeat the failure."""

    key: str
    reason: str
    step: int = 0
    objective: float = 0.0


@dataclass(frozen=True)
class Crashed:
    """The trial's workers ended unexpectedly; another attempt may succeed."""

    key: str
    reason: str
    step: int = 0
    objective: float = 0.0


Event = Started | Progressed | Completed | Failed | Crashed

_TYPES: dict[str, type[Event]] = {kind.__name__: kind for kind in (Started, Progressed, Completed, Failed, Crashed)}


def to_report(event: Event) -> dict[str, Any]:
    """The event as a report; ``step`` and ``objective`` are repeated on top, where schedulers read them."""
    return {EVENT: type(event).__name__, **asdict(event)}


def from_report(report: Mapping[str, Any]) -> Event:
    """The event that ``to_report`` turned into ``report``; other keys, which Ray Tune adds, are ignored.

    >>> from_report({**to_report(Started("3f2a")), "training_iteration": 1})
    Started(key='3f2a', step=0, objective=0.0)
    """
    kind = _TYPES[report[EVENT]]
    return kind(**{name: report[name] for name in kind.__dataclass_fields__})
