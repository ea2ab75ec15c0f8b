"""Which configurations are tried: each once, the waiting ones first, and the same ones every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import with_params
from optical_ray.config.space import Params, grid
from optical_ray.study.records import configuration_id
from optical_ray.sweep.proposals import Proposals, initial_configurations, num_configurations

Make = Callable[..., Experiment]
SOURCES, EPSILON = "data.source_languages", "loss.solver.epsilon"
SUBSETS = {SOURCES: {"kind": "subset", "of": ["de", "hi", "mr"]}}
FLOAT = {EPSILON: {"kind": "float", "low": 0.05, "high": 0.5, "log": True}}
LOSSES = {
    "loss": {
        "kind": "choice",
        "of": [
            {
                "kind": "optimal_transport",
                "solver": {"kind": "sinkhorn", "epsilon": {"kind": "float", "low": 0.05, "high": 0.5}},
            },
            {"kind": "greedy"},
            {"kind": "softmax"},
        ],
    }
}


def score(params: Params) -> float:
    """Hindi is good, small epsilons too."""
    return str(params.get(SOURCES, "")).count("hi") - float(params.get(EPSILON, 0))


def drawn(proposals: Proposals) -> list[Params]:
    """All that is proposed, each told before the next is asked for."""
    found = []
    while (params := proposals.next()) is not None:
        found.append(params)
        proposals.tell(params, score(params))
    return found


def of(experiment: Experiment, num_trials: int, waiting: Any = (), known: int = 0) -> Proposals:
    return Proposals(experiment, num_trials, waiting, known)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize(
    "space", [SUBSETS | FLOAT, LOSSES | SUBSETS, {"data.batch_size": {"kind": "int", "low": 1, "high": 40}}]
)
def test_no_configuration_comes_twice_and_each_makes_a_trial(make: Make, sampler: str, space: dict[str, Any]) -> None:
    experiment = make(space=space, search={"num_trials": 12, "sampler": sampler})
    found = drawn(of(experiment, 12))
    assert len(found) == len({configuration_id(params) for params in found}) == 12
    for params in found:
        with_params(experiment, params)


def test_numbers_are_short_and_inside_of_their_range(make: Make) -> None:
    found = drawn(of(make(space=FLOAT, search={"num_trials": 15}), 15))
    for params in found:
        assert 0.05 <= params[EPSILON] <= 0.5
        assert params[EPSILON] == float(f"{params[EPSILON]:.4g}")


def test_a_small_space_is_used_up_and_then_there_is_no_more(make: Make) -> None:
    experiment = make(space=SUBSETS, search={"num_trials": 50})
    found = drawn(of(experiment, 50))
    assert {params[SOURCES] for params in found} == {params[SOURCES] for params in grid(experiment.space)}
    assert len(found) == 7


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_finite_space_is_exhausted_exactly(make: Make, sampler: str) -> None:
    """Random draws may miss the last of the 240 points; these are enumerated."""
    sources, sizes = ["de", "hi", "mr"], range(1, 81)
    space = {
        SOURCES: {"kind": "choice", "of": sources},
        "data.batch_size": {"kind": "int", "low": sizes[0], "high": sizes[-1]},
    }
    search = {"num_trials": 240, "sampler": sampler}
    proposals = of(make(space=space, search=search), 1000)
    proposed = [(params[SOURCES], params["data.batch_size"]) for params in drawn(proposals)]
    assert len(proposed) == 240
    assert set(proposed) == {(source, size) for source in sources for size in sizes}
    assert proposals.next() is None


def test_the_budget_is_kept(make: Make) -> None:
    proposals = of(make(), 3)
    assert len(drawn(proposals)) == 3
    assert proposals.next() is None
    assert of(make(), 0).next() is None


def test_what_waits_comes_first_and_once(make: Make) -> None:
    waiting = [{SOURCES: "mr", EPSILON: 0.1}, {SOURCES: "de", EPSILON: 0.2}, {SOURCES: "mr", EPSILON: 0.1}]
    found = drawn(of(make(), 4, waiting))
    assert found[:2] == waiting[:2]
    assert len({configuration_id(params) for params in found}) == 4


def test_what_the_study_has_is_not_proposed_again(make: Make) -> None:
    experiment = make(space=SUBSETS, search={"num_trials": 7})
    known = grid(experiment.space)[:5]
    proposals = of(experiment, 7, waiting=known[:2], known=5)
    for index, params in enumerate(known):
        proposals.learn(params, None if index == 0 else 0.1 * index)
    assert {params[SOURCES] for params in drawn(proposals)} == {"hi+mr", "de+hi+mr"}


def test_the_same_seed_proposes_the_same(make: Make) -> None:
    search = {"num_trials": 10, "startup_trials": 3}
    first, again = (drawn(of(make(search=search), 10)) for _ in range(2))
    assert first == again
    assert drawn(of(make(search=search, seed=8), 10)) != first


def test_a_later_launch_does_not_begin_the_sequence_anew(make: Make) -> None:
    experiment = make(search={"num_trials": 8, "startup_trials": 8})
    first = drawn(of(experiment, 4))
    later = of(experiment, 4, known=4)
    for params in first:
        later.learn(params, score(params))
    assert not {configuration_id(params) for params in first} & {configuration_id(params) for params in drawn(later)}


def test_it_learns_what_it_is_told(make: Make) -> None:
    """After thirty random ones, most proposals of TPE hold the good language."""
    experiment = make(space=SUBSETS | FLOAT, search={"num_trials": 50, "startup_trials": 30})
    found = drawn(of(experiment, 50))
    good = ["hi" in str(params[SOURCES]) for params in found]
    assert sum(good[30:]) / 20 > sum(good[:30]) / 30


@pytest.mark.parametrize("value", [0.3, None])
def test_what_was_told_for_a_waiting_one_is_learned_too(make: Make, value: float | None) -> None:
    proposals = of(make(), 3, [{SOURCES: "mr", EPSILON: 0.1}])
    params = proposals.next()
    assert params is not None
    proposals.tell(params, value)
    assert len(drawn(proposals)) == 2


# ---- what is run before a sampler chooses


def test_start_with_is_filled_up_with_the_trials_own_values(make: Make) -> None:
    experiment = make(search={"num_trials": 4, "start_with": [{SOURCES: "hi+mr"}, {EPSILON: 0.25}]})
    assert initial_configurations(experiment) == [{SOURCES: "hi+mr", EPSILON: 0.1}, {SOURCES: "de", EPSILON: 0.25}]


@pytest.mark.parametrize(
    ("path", "dimension", "own"),
    [
        ("optimizer.steps", {"kind": "int", "low": 10, "high": 20}, 10),
        ("optimizer.steps", {"kind": "int", "low": 1, "high": 5}, 5),
        ("optimizer.steps", {"kind": "int", "low": 5, "high": 25, "step": 10}, 5),
        ("loss.solver.epsilon", {"kind": "float", "low": 0.2, "high": 0.4}, 0.2),
        ("data.pairs", {"kind": "int", "low": 10, "high": 20}, 20),
        ("data.pairs", {"kind": "choice", "of": [10, None]}, "null"),
        ("data.pairs", {"kind": "choice", "of": [10, 20]}, 10),
        ("student.freeze_embeddings", {"kind": "choice", "of": [True, False]}, False),
        ("data.source_languages", {"kind": "subset", "of": ["hi", "mr"]}, "hi"),
    ],
)
def test_a_value_outside_of_its_dimension_is_brought_inside(
    make: Make, path: str, dimension: dict[str, Any], own: Any
) -> None:
    space = {"anchor.weight": {"kind": "float", "low": 0.1, "high": 1.0}, path: dimension}
    experiment = make(space=space, search={"num_trials": 3, "start_with": [{"anchor.weight": 0.5}]})
    [params] = initial_configurations(experiment)
    assert params == {"anchor.weight": 0.5, path: own}
    with_params(experiment, params)
    assert len(drawn(of(experiment, 3, [params]))) == 3


def test_a_block_to_start_with_is_filled_up_inside(make: Make) -> None:
    starts = [{"loss": "greedy"}, {"loss": "optimal_transport"}, {SOURCES: "hi"}]
    experiment = make(space=LOSSES | SUBSETS, search={"num_trials": 3, "start_with": starts})
    assert initial_configurations(experiment) == [
        {"loss": "greedy", SOURCES: "de"},
        {"loss": "optimal_transport", EPSILON: 0.1, SOURCES: "de"},
        {"loss": "optimal_transport", EPSILON: 0.1, SOURCES: "hi"},
    ]


def test_an_estimate_runs_the_whole_design_and_nothing_else(make: Make) -> None:
    space = SUBSETS | {EPSILON: {**FLOAT[EPSILON], "points": 2}}
    experiment = make(space=space, search={"mode": "estimate", "seeds": 2})
    design = initial_configurations(experiment)
    assert num_configurations(experiment) == len(design) == 7 * 2
    assert drawn(of(experiment, 14, design)) == design == grid(experiment.space)
    assert of(experiment, 3).next() is None


def test_a_study_without_a_space_has_one_configuration(make: Make) -> None:
    experiment = make(space={}, search={})
    assert num_configurations(experiment) == 1
    assert drawn(of(experiment, 1, initial_configurations(experiment))) == [{}]
