"""A study's state as gauges that Ray exports to Prometheus (``optical_map`` as ``ray_optical_map``).

========================== ===================================== ==============================================
gauge                      labels                                value
========================== ===================================== ==============================================
optical_trials             study, state                          number of trials in each of the five states
optical_retries            study                                 attempts beyond the first, over all trials
optical_map                study, target, source_languages       best mean score so far, eval split
optical_loss               study, trial                          loss of a running trial
optical_marginal_error     study, trial                          Sinkhorn's marginal error of a running trial
optical_step               study, trial                          step of a running trial
optical_tokens_per_second  study, trial                          throughput of a running trial
optical_eta_seconds        study                                 estimated time left, after the first complete trial
========================== ===================================== ==============================================

Ray drops a gauge that is not set for some seconds. The curves of a finished trial therefore end, and so do all curves
of a launcher that died.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from optical_ray.study.info import StudyInfo
from optical_ray.study.layout import UNDISTILLED
from optical_ray.study.records import Ledger, TrialState
from optical_ray.study.summary import best_by_sources, num_retries, seconds_left, states
from optical_ray.tracking.interface import Tracker, TrackerConfig

if TYPE_CHECKING:
    from ray.util.metrics import Gauge

STEP_GAUGES = {
    "loss": "optical_loss",
    "ot/marginal_error": "optical_marginal_error",
    "step": "optical_step",
    "tokens_per_second": "optical_tokens_per_second",
}
"""The gauge of each field of a metric row."""

LABELS = {
    "optical_trials": ("study", "state"),
    "optical_retries": ("study",),
    "optical_map": ("study", "target", "source_languages"),
    "optical_eta_seconds": ("study",),
    **dict.fromkeys(STEP_GAUGES.values(), ("study", "trial")),
}
DESCRIPTIONS = {
    "optical_trials": "Trials of the study by state",
    "optical_retries": "Attempts beyond the first",
    "optical_map": "Best mean score on the eval split",
    "optical_eta_seconds": "Estimated seconds until the last trial ends",
    **{gauge: f"Last {field} of a running trial" for field, gauge in STEP_GAUGES.items()},
}


@dataclass(frozen=True)
class PrometheusConfig(TrackerConfig):
    """Gauges that Prometheus reads from the metrics endpoint of every Ray node; see ``dashboards/``."""

    kind: Literal["prometheus"] = "prometheus"

    def open(self, study_folder: Path) -> Tracker:
        return PrometheusTracker(study_folder)


class PrometheusTracker(Tracker):
    """Sets the gauges of one study; ``sync`` needs a process that is connected to Ray."""

    def __init__(self, study_folder: Path) -> None:
        self.folder = study_folder
        self._gauges: dict[str, Gauge] = {}

    @property
    def destination(self) -> str:
        return "the metrics endpoint of each Ray node, while the study runs"

    def sync(self) -> None:
        """Set every gauge to the state in the study's folder."""
        ledger, info = Ledger.open(self.folder), StudyInfo.read(self.folder)
        study, counts = info.name, states(ledger)
        for state in TrialState:
            self._set("optical_trials", counts.get(state.value, 0), study, state.value)
        self._set("optical_retries", num_retries(ledger), study)
        for (target, sources), score in best_by_sources(ledger, info.objective).items():
            self._set("optical_map", score, study, target, sources)
        undistilled = ledger.baselines().get(UNDISTILLED, {}).get("eval", {}).get(info.objective, {})
        for target, score in undistilled.items():
            self._set("optical_map", score, study, target, UNDISTILLED)
        seconds = seconds_left(ledger, info)
        if seconds is not None:
            self._set("optical_eta_seconds", seconds, study)
        for record in ledger.records:
            row = ledger.last_row(record.key) if record.state is TrialState.RUNNING else None
            for field, gauge in STEP_GAUGES.items():
                if row and field in row:
                    self._set(gauge, float(row[field]), study, record.key)

    def close(self, timeout: float) -> None:
        """Set the gauges a last time, if this process has set them before."""
        if self._gauges:
            self.sync()

    def _set(self, gauge: str, value: float, *labels: str) -> None:
        if gauge not in self._gauges:
            from ray.util.metrics import Gauge

            self._gauges[gauge] = Gauge(gauge, DESCRIPTIONS[gauge], LABELS[gauge])
        self._gauges[gauge].set(value, dict(zip(LABELS[gauge], labels, strict=True)))
