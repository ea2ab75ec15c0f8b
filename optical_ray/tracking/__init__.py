"""Mirrors of the ledger: MLflow, and gauges for Prometheus. A mirror may fail; no trial fails for it."""

from optical_ray.tracking.background import BackgroundTracker
from optical_ray.tracking.interface import Tracker

__all__ = ["BackgroundTracker", "Tracker"]
