"""Trackers show a study in other places: MLflow, Prometheus, files. A failing tracker never fails a trial."""

from optical_ray.tracking.background import BackgroundTracker
from optical_ray.tracking.interface import Problem, Tracker, TrackerConfig

__all__ = ["BackgroundTracker", "Problem", "Tracker", "TrackerConfig"]
