"""A study's state as gauges that Ray exports to Prometheus (``optical_map`` as ``ray_optical_map``).

========================== ===================================== ==========================================
gauge                      labels                                says
========================== ===================================== ==========================================
optical_trials             study, state                          trials in each of the five states
optical_retries            study                                 attempts beyond the first, over all trials
optical_map                study, target, source_languages       best mean score so far, eval split
optical_loss               study, trial                          loss of a running trial
optical_marginal_error     study, trial                          Sinkhorn's marginal error of a running trial
optical_step               study, trial                          step of a running trial
optical_tokens_per_second  study, trial                          throughput of a running trial
optical_eta_seconds        study                                 left at the pace so far; once a trial is done
========================== ===================================== ==========================================

Ray drops a gauge that is not set again for some seconds: so a finished trial's curves end, and so do all curves of a
launcher that died.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ray.util.metrics import Gauge

from optical_ray.study.records import Ledger, TrialState
from optical_ray.tracking.images import spec_of
from optical_ray.tracking.interface import Tracker

BASELINE = "undistilled"

STEP_GAUGES = {
    "loss": "optical_loss",
    "ot/marginal_error": "optical_marginal_error",
    "step": "optical_step",
    "tokens_per_second": "optical_tokens_per_second",
}
"""Which field of a metric row feeds which gauge."""


class StudyGauges(Tracker):
    """Keeps the gauges of one study; wants a process that is connected to Ray."""

    def __init__(self, study_folder: Path) -> None:
        self.folder = study_folder
        self.study = study_folder.name
        self._trials = Gauge("optical_trials", "Trials of the study by state", ("study", "state"))
        self._retries = Gauge("optical_retries", "Attempts beyond the first", ("study",))
        self._map = Gauge("optical_map", "Best mean score on the eval split", ("study", "target", "source_languages"))
        self._eta = Gauge("optical_eta_seconds", "Seconds left at the pace so far", ("study",))
        self._steps = {
            name: Gauge(gauge, f"Last {name} of a running trial", ("study", "trial"))
            for name, gauge in STEP_GAUGES.items()
        }

    def sync(self) -> None:
        """Read the ledger and set every gauge."""
        self.update(Ledger.open(self.folder))

    def close(self, timeout: float) -> None:
        """Set the gauges a last time."""
        self.sync()

    def update(self, ledger: Ledger) -> None:
        """Set every gauge to what ``ledger`` says."""
        study = {"study": self.study}
        states = Counter(record.state for record in ledger.records)
        for state in TrialState:
            self._trials.set(states[state], {**study, "state": state.value})
        self._retries.set(sum(max(record.attempts - 1, 0) for record in ledger.records), study)
        for (target, sources), value in best_scores(ledger).items():
            self._map.set(value, {**study, "target": target, "source_languages": sources})
        eta = eta_seconds(ledger)
        if eta is not None:
            self._eta.set(eta, study)
        self._update_running(ledger)

    def _update_running(self, ledger: Ledger) -> None:
        for record in ledger.records:
            rows = ledger.rows(record.key) if record.state is TrialState.RUNNING else []
            for name, gauge in self._steps.items():
                if rows and name in rows[-1]:
                    gauge.set(float(rows[-1][name]), {"study": self.study, "trial": record.key})


def best_scores(ledger: Ledger) -> dict[tuple[str, str], float]:
    """The best eval score of the study's objective by (target, source languages); the baseline as "undistilled"."""
    objective = (spec_of(ledger.study).get("search") or {}).get("objective") or "AP"
    found = [("+".join(record.source_languages), ledger.scores(record.key)) for record in ledger.records]
    found.append((BASELINE, ledger.baselines().get(BASELINE, {})))
    best: dict[tuple[str, str], float] = {}
    for sources, scores in found:
        for target, value in scores.get("eval", {}).get(objective, {}).items():
            best[target, sources] = max(value, best.get((target, sources), value))
    return best


def eta_seconds(ledger: Ledger) -> float | None:
    """Trials that are left x mean seconds of those done / those running now; ``None`` while none is done."""
    search = spec_of(ledger.study).get("search") or {}
    total = max(int(search.get("num_trials") or 0) * int(search.get("seeds") or 1), len(ledger.records))
    done = [record for record in ledger.records if record.state.is_finished]
    seconds = [record.seconds for record in done if record.state is TrialState.COMPLETE]
    if not seconds:
        return None
    running = sum(record.state is TrialState.RUNNING for record in ledger.records)
    return (total - len(done)) * sum(seconds) / len(seconds) / max(running, 1)
