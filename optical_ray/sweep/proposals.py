"""Which configuration comes next: those that wait, then a sampler's; never one that the study has already."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState, create_trial

from optical_ray.config.experiment import Experiment
from optical_ray.config.space import Choice, Float, Int, Params, Subset, grid

optuna.logging.set_verbosity(optuna.logging.ERROR)

DIGITS = 4
"""Significant digits of a sampled real number."""

PATIENCE = 200
"""Proposals of the sampler that the study has already, after which the space counts as exhausted."""


class Proposals:
    """A budget of distinct configurations: ``waiting`` ones first, then Optuna's."""

    def __init__(self, experiment: Experiment, num_trials: int, waiting: Iterable[Params], known: int):
        self.experiment = experiment
        self._left = num_trials
        self._waiting = deque(waiting)
        self._seen: set[tuple[tuple[str, Any], ...]] = set()
        self._distributions = {path: distribution(dimension) for path, dimension in experiment.space.items()}
        self._study = optuna.create_study(
            study_name=experiment.name, direction="maximize", sampler=_sampler(experiment, seed=experiment.seed + known)
        )
        self._asked: dict[tuple[tuple[str, Any], ...], Trial] = {}

    def learn(self, params: Params, value: float | None) -> None:
        """Tell the sampler of a configuration that the study has; ``None``: it has no score (it failed or runs)."""
        self._seen.add(identity(params))
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        trial = create_trial(params=params, distributions=self._distributions, value=value, state=state)
        self._study.add_trial(trial)

    def next(self) -> Params | None:
        """The next configuration, or ``None`` where the budget or the space is used up."""
        if self._left == 0:
            return None
        params = self._unseen()
        if params is not None:
            self._left -= 1
            self._seen.add(identity(params))
        return params

    def tell(self, params: Params, value: float | None) -> None:
        """The score of a configuration that ``next`` gave; ``None`` where it has none."""
        trial = self._asked.pop(identity(params), None)
        if trial is None:
            self.learn(params, value)
        elif value is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, value)

    def _unseen(self) -> Params | None:
        while self._waiting:
            params = self._waiting.popleft()
            if identity(params) not in self._seen:
                return params
        if self.experiment.search.mode == "estimate" or not self._distributions:
            return None
        for _ in range(PATIENCE):
            trial = self._study.ask(self._distributions)
            params = {path: _rounded(self.experiment.space[path], value) for path, value in trial.params.items()}
            if identity(params) not in self._seen:
                self._asked[identity(params)] = trial
                return params
            self._study.tell(trial, state=TrialState.FAIL)
        return None


def identity(params: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What makes two configurations the same."""
    return tuple(sorted(params.items()))


def distribution(dimension: Float | Int | Choice | Subset) -> BaseDistribution:
    """Optuna's word for a dimension; sets and blocks travel as labels."""
    match dimension:
        case Float():
            return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        case Int():
            return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
        case _:
            return CategoricalDistribution(dimension.grid())


def first_ones(experiment: Experiment) -> list[Params]:
    """What is run before a sampler chooses: the whole design, or ``start_with``, filled up with the trial's values."""
    if experiment.search.mode == "estimate" or not experiment.space:
        return grid(experiment.space)
    own = {path: _own_value(experiment, path) for path in experiment.space}
    return [{**own, **params} for params in experiment.search.start_with]


def num_configurations(experiment: Experiment) -> int:
    """The study's budget of configurations."""
    if experiment.search.mode == "estimate" or not experiment.space:
        return len(grid(experiment.space))
    assert experiment.search.num_trials is not None
    return experiment.search.num_trials


def _own_value(experiment: Experiment, path: str) -> Any:
    """The trial's value at ``path`` as a label; the nearest bound where it lies outside of the dimension."""
    node: Any = experiment.trial.model_dump(mode="json")
    for part in path.split("."):
        node = node[part]
    dimension = experiment.space[path]
    if isinstance(dimension, (Float, Int)):
        return min(max(node, dimension.low), dimension.high)
    if isinstance(dimension, Subset):
        label = "+".join(sorted(node))
        return label if label in dimension.grid() else dimension.grid()[0]
    return dimension.label(node) if dimension.label(node) in dimension.grid() else dimension.grid()[0]


def _sampler(experiment: Experiment, seed: int) -> BaseSampler:
    search = experiment.search
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    startup = search.startup_trials if search.startup_trials is not None else max(4, len(search.start_with))
    return TPESampler(
        seed=seed, n_startup_trials=startup, constant_liar=True, multivariate=True, warn_independent_sampling=False
    )


def _rounded(dimension: Float | Int | Choice | Subset, value: Any) -> Any:
    if not isinstance(dimension, Float):
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), dimension.low), dimension.high)
