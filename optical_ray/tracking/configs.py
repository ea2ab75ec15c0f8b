"""Opens the trackers that a study names, and closes those that an earlier launcher left open."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from optical_ray.registry import members
from optical_ray.study.info import StudyInfo
from optical_ray.tracking.background import BackgroundTracker
from optical_ray.tracking.interface import Tracker, TrackerConfig
from optical_ray.types import InputError

logger = logging.getLogger(__name__)


def configs_of(info: StudyInfo) -> list[TrackerConfig]:
    """The trackers in the spec of a study; raises ``InputError`` if this program does not know one of them."""
    kinds = members("optical_ray.tracking.trackers", TrackerConfig)  # type: ignore[type-abstract]
    configs = []
    for index, settings in enumerate(info.tracking):
        try:
            configs.append(kinds[settings["kind"]](**settings))
        except (KeyError, TypeError) as error:
            raise InputError(
                f"study.json: experiment.tracking[{index}]: unknown tracker (got {dict(settings)!r}, expected one of "
                f"{', '.join(kinds)}). Install the package version that wrote the study."
            ) from error
    return configs


def open_trackers(configs: Iterable[TrackerConfig], study_folder: Path) -> list[Tracker]:
    """Start each tracker in a thread of its own; one that cannot be opened is logged and left out."""
    trackers: list[Tracker] = []
    for config in configs:
        try:
            trackers.append(BackgroundTracker(config.open(study_folder)))
        except Exception as error:
            logger.warning("tracker %r cannot be opened, the study continues without it: %s", config.kind, error)
    return trackers


def close_trackers(configs: Iterable[TrackerConfig], study_folder: Path, timeout: float) -> list[str]:
    """Mark as ended what a dead launcher left running; returns a message for each tracker that failed."""
    failures = []
    for config in configs:
        tracker = config.open(study_folder)
        try:
            tracker.close(timeout)
        except Exception as error:
            failures.append(f"{tracker.name}: {tracker.explain(error)}")
    return failures
