"""Ray Tune's two ways in: a searcher that asks ``Proposals``, and a callback that writes the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.search import Searcher

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import with_params
from optical_ray.config.space import Params
from optical_ray.prepare.study import Prepared
from optical_ray.study.records import Ledger, TrialState
from optical_ray.study.summary import objective_of
from optical_ray.sweep.proposals import Proposals

FINISHED_ATTEMPT = "finished_attempt"


class LedgerSearcher(Searcher):  # type: ignore[misc]
    """Turns configurations into trials and their seeds' scores into what the sampler learns."""

    def __init__(self, experiment: Experiment, prepared: Prepared, ledger: Ledger, proposals: Proposals):
        super().__init__(metric="objective", mode="max")
        self._experiment, self._prepared, self._ledger, self._proposals = experiment, prepared, ledger, proposals
        self._running: dict[str, tuple[Params, list[str]]] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next configuration with its jobs; a seed that is complete has no job."""
        params = self._proposals.next()
        if params is None:
            return Searcher.FINISHED
        keys = register(self._experiment, self._prepared, self._ledger, params)
        trial = with_params(self._experiment, params)
        jobs = [
            self._prepared.job(
                self._experiment, trial, seed, self._ledger.trial_folder(key).resolve(), self._ledger.last_step(key)
            )
            for key, seed in zip(keys, self._experiment.seeds, strict=True)
            if runnable(self._ledger, key, self._experiment.compute.max_attempts)
        ]
        self._running[trial_id] = (params, keys)
        return {"params": params, "jobs": jobs}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:  # noqa: FBT001, FBT002 - Ray's signature
        """Learn the mean score of the configuration's seeds; one that was stopped early counts with its last score."""
        params, keys = self._running.pop(trial_id)
        value = score_of(self._experiment, self._ledger, keys)
        if value is None and result and not error and any(self._is_pruned(key) for key in keys):
            value = result["objective"]
        self._proposals.tell(params, value)

    def _is_pruned(self, key: str) -> bool:
        record = self._ledger.get(key)
        return record is not None and record.state is TrialState.PRUNED

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger holds all that is known."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: a new launch reads the ledger."""


class LedgerCallback(Callback):  # type: ignore[misc]
    """Writes what trials report to the ledger; runs in the launcher, which alone may write."""

    def __init__(self, ledger: Ledger, max_attempts: int, on_complete: Callable[[str], None]):
        self._ledger, self._max_attempts, self._on_complete = ledger, max_attempts, on_complete
        self._current: dict[str, str] = {}
        self._attempt: dict[str, str] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """One report of a seed."""
        key = result.get("key") or self._current[trial.trial_id]
        self._current[trial.trial_id] = key
        if result.get("started"):
            self._ledger.start(key, resumed_from=0)
            self._attempt.pop(key, None)
        elif "crashed" in result:
            self._crash(key, result["crashed"])
        elif "failed" in result:
            record = self._ledger.get(key)
            if record is not None and record.state is TrialState.RUNNING:
                self._ledger.finish(key, TrialState.FAIL, error=result["failed"])
        else:
            self._progress(key, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A configuration ended; a seed that still runs was stopped early."""
        key = self._current.get(trial.trial_id)
        record = self._ledger.get(key) if key else None
        if key and record is not None and record.state is TrialState.RUNNING:
            self._ledger.finish(key, TrialState.PRUNED)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A driver was lost more often than it may be."""
        key = self._current.get(trial.trial_id)
        record = self._ledger.get(key) if key else None
        if key and record is not None and record.state is TrialState.RUNNING:
            self._crash(key, "the trial's driver was lost")

    def _crash(self, key: str, reason: str) -> None:
        record = self._ledger.get(key)
        assert record is not None
        self._ledger.finish(key, TrialState.FAIL, error=reason, retryable=record.attempts < self._max_attempts)

    def _progress(self, key: str, result: dict[str, Any]) -> None:
        attempt = result["attempt"]
        if key not in self._attempt:
            self._ledger.resume(key, resumed_from=result["resumed_from"])
        elif self._attempt[key] != attempt:  # Ray Train started the worker group again
            self._ledger.start(key, resumed_from=result["resumed_from"])
        self._attempt[key] = attempt
        self._ledger.log(key, result["rows"])
        if result["complete"]:
            self._ledger.finish(key, TrialState.COMPLETE)
            self._on_complete(key)


def register(experiment: Experiment, prepared: Prepared, ledger: Ledger, params: Params) -> list[str]:
    """The keys of a configuration's trials, one for each seed; their records are made where they are not there."""
    trial = with_params(experiment, params)
    keys = []
    for seed in experiment.seeds:
        record = ledger.create(
            prepared.key(trial, seed),
            params=params,
            seed=seed,
            config=trial.model_dump(mode="json"),
            source_languages=trial.data.source_languages,
            steps=trial.optimizer.steps,
        )
        keys.append(record.key)
    return keys


def runnable(ledger: Ledger, key: str, max_attempts: int) -> bool:
    """Whether a trial still has something to run: it waits, was interrupted, or crashed with attempts left."""
    record = ledger.get(key)
    if record is None or not record.state.is_finished:
        return True
    return record.state is TrialState.FAIL and record.retryable and record.attempts < max_attempts


def score_of(experiment: Experiment, ledger: Ledger, keys: list[str]) -> float | None:
    """Mean over the complete seeds of the objective on the eval split; ``None`` where no seed is complete."""
    complete = [key for key in keys if (record := ledger.get(key)) and record.state is TrialState.COMPLETE]
    scores = [objective_of(ledger.scores(key), experiment.search.objective, experiment.targets) for key in complete]
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None
