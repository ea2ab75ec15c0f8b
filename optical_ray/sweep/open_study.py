"""A study that this launcher runs: its spec, what its trials share, and their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import with_params
from optical_ray.config.space import Params
from optical_ray.config.trial import TrialConfig
from optical_ray.prepare.text import Preparation
from optical_ray.study.layout import StudyFolder
from optical_ray.study.records import Ledger, TrialState
from optical_ray.study.summary import objective_of
from optical_ray.training.inputs import Inputs
from optical_ray.training.loop import DistillationJob, Schedule


@dataclass(frozen=True)
class Configuration:
    """Searched values, the trial that they give, and its key for every seed."""

    params: Params
    trial: TrialConfig
    keys: Mapping[int, str]


@dataclass(frozen=True)
class OpenStudy:
    """The study while its lease is held."""

    experiment: Experiment
    preparation: Preparation
    ledger: Ledger

    @property
    def layout(self) -> StudyFolder:
        """The names of the study's files."""
        return self.ledger.layout

    @property
    def inputs(self) -> Inputs:
        """What all trials read."""
        return self.preparation.inputs

    def configuration(self, params: Params) -> Configuration:
        """The configuration with ``params``; records are created for the seeds that have none."""
        trial = with_params(self.experiment, params)
        config = trial.model_dump(mode="json")
        keys = {seed: self.preparation.trial_key(trial, seed) for seed in self.experiment.seeds}
        for seed, key in keys.items():
            self.ledger.create(
                key,
                params=params,
                seed=seed,
                config=config,
                source_languages=trial.data.source_languages,
                steps=trial.optimizer.steps,
            )
        return Configuration(params, trial, keys)

    def job(self, configuration: Configuration, seed: int) -> DistillationJob:
        """What the workers need to run one seed of ``configuration``."""
        key = configuration.keys[seed]
        folder = self.ledger.trial_folder(key).resolve()
        return self.trial_job(configuration.trial, seed, key, folder, logged_step=self.ledger.last_step(key))

    def trial_job(
        self, trial: TrialConfig, seed: int, key: str, folder: Path, *, logged_step: int = 0
    ) -> DistillationJob:
        """What the workers need to run ``trial``, whose files are written to ``folder``."""
        experiment = self.experiment
        return DistillationJob(
            key=key,
            seed=seed,
            config=trial.model_dump(mode="json"),
            inputs=self.inputs.only(trial.data.source_languages),
            schedule=Schedule(
                evaluate_every=experiment.evaluation.every,
                checkpoint_every=experiment.checkpoint_every,
                objective=f"{experiment.search.objective}/mean",
            ),
            folder=folder,
            logged_step=logged_step,
            keep_weights=experiment.compute.keep != "none",
        )

    def is_runnable(self, key: str) -> bool:
        """Whether a trial is waiting, was interrupted, or crashed with attempts left."""
        record = self.ledger.find(key)
        if not record.state.is_finished:
            return True
        attempts_left = record.attempts < self.experiment.compute.max_attempts
        return record.state is TrialState.FAIL and record.retryable and attempts_left

    def score(self, configuration: Configuration) -> float | None:
        """Mean of the objective on the eval split over the complete seeds; None if no seed is complete."""
        complete = {record.key for record in self.ledger.complete}
        scores = [
            objective_of(self.ledger.scores(key), self.experiment.search.objective, self.experiment.targets)
            for key in configuration.keys.values()
            if key in complete
        ]
        known = [score for score in scores if score is not None]
        return sum(known) / len(known) if known else None
