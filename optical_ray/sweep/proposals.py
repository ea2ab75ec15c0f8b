"""Chooses the next configuration: the waiting ones first, then those of a sampler, each at most once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState, create_trial

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import with_params
from optical_ray.config.points import num_points
from optical_ray.config.space import AnyDimension, Choice, Float, Int, Params, Space, Subset, dimensions, grid
from optical_ray.config.trial import TrialConfig
from optical_ray.study.records import configuration_id
from optical_ray.types import InputError

optuna.logging.set_verbosity(optuna.logging.ERROR)

DIGITS = 4
"""Significant digits of a sampled real number."""

MAX_REPEATS = 20
"""Known configurations that the sampler may propose in a row before they are drawn at random."""

MAX_DRAWS = 200
"""Known configurations in a row after which a finite space is enumerated, and an infinite one is exhausted."""


class Proposals:
    """A budget of distinct configurations: ``waiting`` ones first, then Optuna's."""

    def __init__(self, experiment: Experiment, num_trials: int, waiting: Iterable[Params], known: int):
        self.experiment = experiment
        self._left = num_trials
        self._seed = experiment.seed + known
        self._waiting = deque(waiting)
        self._seen: set[str] = set()
        self._study = optuna.create_study(
            study_name=experiment.name, direction="maximize", sampler=_sampler(experiment, self._seed)
        )
        self._asked: dict[str, Trial] = {}

    def learn(self, params: Params, value: float | None) -> None:
        """Tell the sampler about a configuration of an earlier launch; ``value`` is None if it has no score."""
        self._seen.add(configuration_id(params))
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        active = list(_active(self.experiment.space, params))
        trial = create_trial(
            params={name: params[path] for name, path, _ in active},
            distributions={name: distribution(dimension) for name, _, dimension in active},
            value=value,
            state=state,
        )
        self._study.add_trial(trial)

    def next(self) -> Params | None:
        """The next configuration, or None if the budget or the space is used up."""
        if self._left == 0:
            return None
        params = self._unseen()
        if params is not None:
            self._left -= 1
            self._seen.add(configuration_id(params))
        return params

    def tell(self, params: Params, value: float | None) -> None:
        """Record the score of a configuration that ``next`` returned; None if it has no score."""
        trial = self._asked.pop(configuration_id(params), None)
        if trial is None:
            self.learn(params, value)
        elif value is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, value)

    def _unseen(self) -> Params | None:
        params: Params | None
        while self._waiting:
            params = self._waiting.popleft()
            if configuration_id(params) not in self._seen:
                return params
        if self.experiment.search.mode == "estimate" or not self.experiment.space:
            return None
        sampler = self._study.sampler
        for attempt in range(MAX_DRAWS):
            if attempt == MAX_REPEATS:
                self._study.sampler = RandomSampler(seed=self._seed + len(self._seen))
            trial = self._study.ask()
            params = {}
            for name, path, dimension in _active(self.experiment.space, params):
                params[path] = _suggested(trial, name, dimension)
            if configuration_id(params) not in self._seen:
                self._asked[configuration_id(params)] = trial
                break
            self._study.tell(trial, state=TrialState.FAIL)
            params = None
        self._study.sampler = sampler
        return params if params is not None else self._enumerated()

    def _enumerated(self) -> Params | None:
        """The first new point of a finite space; None if the study has all points, or if the space is infinite."""
        if any(isinstance(dimension, Float) for _, dimension in dimensions(self.experiment.space)):
            return None
        points = grid(self.experiment.space)
        return next((params for params in points if configuration_id(params) not in self._seen), None)


def distribution(dimension: AnyDimension) -> BaseDistribution:
    """The Optuna distribution of a dimension; sets and blocks are represented by their labels."""
    match dimension:
        case Float():
            return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        case Int():
            return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
        case _:
            return CategoricalDistribution(dimension.grid())


def _active(space: Space, params: Params, suffix: str = "") -> Iterator[tuple[str, str, AnyDimension]]:
    """Yield the name for Optuna, the path and the dimension of every dimension that exists under ``params``.

    ``params`` may be extended during the iteration: a choice is looked up after its dimension was yielded. The name of
    a dimension in a block contains the block's label, because another block may have a dimension at the same path.
    """
    for path, dimension in space.items():
        yield path + suffix, path, dimension
        if isinstance(dimension, Choice):
            label = params[path]
            yield from _active(dimension.inner(label, path), params, f"{suffix} [{label}]")


def _suggested(trial: Trial, name: str, dimension: AnyDimension) -> Any:
    match dimension:
        case Float():
            value = trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
            return min(max(float(f"{value:.{DIGITS}g}"), dimension.low), dimension.high)
        case Int():
            return trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log, step=dimension.step)
        case _:
            return trial.suggest_categorical(name, dimension.grid())


def initial_configurations(experiment: Experiment) -> list[Params]:
    """The configurations before the sampler's: the whole design, or ``start_with`` completed by the trial."""
    if experiment.search.mode == "estimate" or not experiment.space:
        return grid(experiment.space)
    return [_completed(experiment, dict(params)) for params in experiment.search.start_with]


def num_configurations(experiment: Experiment) -> int:
    """The study's budget of configurations; raises ``InputError`` if the space has fewer."""
    if experiment.search.mode == "estimate" or not experiment.space:
        return len(grid(experiment.space))
    num_trials, most = experiment.search.num_trials, num_points(experiment.space)
    assert num_trials is not None
    if most is not None and num_trials > most:
        raise InputError(
            f"search.num_trials: more configurations than the space has (got {num_trials}, expected at most {most}). "
            "Lower it, or widen the space."
        )
    return num_trials


def _completed(experiment: Experiment, params: Params) -> Params:
    """``params`` with the value of the trial, or of a chosen block, for every dimension that is missing."""
    complete: Params = {}
    for _, path, dimension in _active(experiment.space, complete):
        if path in params:
            complete[path] = params[path]
        else:
            complete[path] = _own_value(with_params(experiment, complete), path, dimension)
    return complete


def _own_value(trial: TrialConfig, path: str, dimension: AnyDimension) -> Any:
    """The trial's value at ``path``, or the nearest in the dimension; for null (no limit), the highest."""
    node: Any = trial.model_dump(mode="json")
    for part in path.split("."):
        node = node[part]
    if isinstance(dimension, Int):
        steps = range(dimension.low, dimension.high + 1, dimension.step)
        index = len(steps) - 1 if node is None else round((node - dimension.low) / dimension.step)
        return steps[min(max(index, 0), len(steps) - 1)]
    if isinstance(dimension, Float):
        return dimension.high if node is None else min(max(node, dimension.low), dimension.high)
    if isinstance(dimension, Subset):
        subset = "+".join(sorted(node))
        return subset if subset in dimension.grid() else dimension.grid()[0]
    label = dimension.label(node["kind"] if isinstance(node, dict) else node)
    return label if label in dimension.grid() else dimension.grid()[0]


def _sampler(experiment: Experiment, seed: int) -> BaseSampler:
    search = experiment.search
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    startup = search.startup_trials if search.startup_trials is not None else max(4, len(search.start_with))
    return TPESampler(
        seed=seed,
        n_startup_trials=startup,
        constant_liar=True,
        multivariate=True,
        group=True,
        warn_independent_sampling=False,
    )
