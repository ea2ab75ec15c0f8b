"""Connects Ray Tune with the sampler and the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.search import Searcher

from optical_ray.study.events import Completed, Crashed, Failed, Progressed, Started, from_report
from optical_ray.study.records import Ledger, TrialState
from optical_ray.sweep.open_study import Configuration, OpenStudy
from optical_ray.sweep.proposals import Proposals


class LedgerSearcher(Searcher):  # type: ignore[misc]
    """Gives Ray Tune the jobs of proposed configurations, and the sampler the scores of their trials."""

    def __init__(self, study: OpenStudy, proposals: Proposals):
        super().__init__(metric="objective", mode="max")
        self._study, self._proposals = study, proposals
        self._running: dict[str, Configuration] = {}

    def suggest(self, trial_id: str) -> Any:
        """Return the next configuration, with one job for each seed that is not finished."""
        params = self._proposals.next()
        if params is None:
            return Searcher.FINISHED
        configuration = self._study.configuration(params)
        jobs = [
            self._study.job(configuration, seed)
            for seed, key in configuration.keys.items()
            if self._study.is_runnable(key)
        ]
        self._running[trial_id] = configuration
        return {"params": params, "jobs": jobs}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:  # noqa: FBT001, FBT002 - Ray's signature
        """Tell the sampler the mean score over the seeds; the last score of a trial that was stopped early.

        Ray Tune calls this before the callback below, so a trial that it has just stopped is still RUNNING here.
        """
        configuration = self._running.pop(trial_id)
        value = self._study.score(configuration)
        if value is None and result and not error and any(map(self._was_stopped, configuration.keys.values())):
            value = result["objective"]
        self._proposals.tell(configuration.params, value)

    def _was_stopped(self, key: str) -> bool:
        return self._study.ledger.find(key).state in (TrialState.RUNNING, TrialState.PRUNED)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a new launch reads the ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a new launch reads the ledger."""


class LedgerCallback(Callback):  # type: ignore[misc]
    """Writes the events of trials to the ledger. It runs in the launcher, the only process that writes the ledger."""

    def __init__(self, ledger: Ledger, max_attempts: int, on_complete: Callable[[str], None]):
        self._ledger, self._max_attempts, self._on_complete = ledger, max_attempts, on_complete
        self._current: dict[str, str] = {}
        self._attempt: dict[str, str] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record one event; events of a trial that has ended are ignored."""
        event = from_report(result)
        key = event.key
        self._current[trial.trial_id] = key
        if isinstance(event, Started):
            self._ledger.start(key, resumed_from=0)
            self._attempt.pop(key, None)
        elif self._is_running(key):
            if isinstance(event, Progressed):
                self._progress(event)
            elif isinstance(event, Crashed):
                self._crash(key, event.reason)
            elif isinstance(event, Failed):
                self._ledger.finish(key, TrialState.FAIL, error=event.reason)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record the end of a configuration; a seed that is still running was stopped early by the scheduler."""
        key = self._current.get(trial.trial_id)
        if key and self._is_running(key):
            self._ledger.finish(key, TrialState.PRUNED)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record that the configuration's driver was lost too often."""
        key = self._current.get(trial.trial_id)
        if key and self._is_running(key):
            self._crash(key, "the trial's driver was lost")

    def _is_running(self, key: str) -> bool:
        return self._ledger.find(key).state is TrialState.RUNNING

    def _crash(self, key: str, reason: str) -> None:
        retryable = self._ledger.find(key).attempts < self._max_attempts
        self._ledger.finish(key, TrialState.FAIL, error=reason, retryable=retryable)

    def _progress(self, event: Progressed) -> None:
        key = event.key
        if key not in self._attempt:
            self._ledger.resume(key, resumed_from=event.resumed_from)
        elif self._attempt[key] != event.attempt:  # Ray Train restarted the worker group
            self._ledger.start(key, resumed_from=event.resumed_from)
        self._attempt[key] = event.attempt
        self._ledger.log(key, [dict(row) for row in event.rows])
        if isinstance(event, Completed):
            self._ledger.finish(key, TrialState.COMPLETE)
            self._on_complete(key)
