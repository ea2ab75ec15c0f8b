from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from optical_ray.report.comparisons import compare, cross_fit
from optical_ray.report.curves import curve
from optical_ray.report.games import games, solve
from optical_ray.report.headlines import headlines
from optical_ray.report.matrix import matrix
from optical_ray.report.sections.variance import rank_stability, variance_shares
from tests.report.planted import Planted, plant

TRUTH = Planted(
    {
        "de": {"sw": 0.0, "mr": 0.0},
        "fr": {"sw": 0.05, "mr": 0.0},
        "mr": {"sw": 0.0, "mr": 0.2},
    },
    interactions={("de", "fr"): -0.03},
    epsilons=(0.1, 1.0),
    epsilon_gains=(0.0, -0.04),
    num_topics=200,
    seed_sd=0.003,
    gain_sd=0.03,
)


def test_the_truth_is_recovered() -> None:
    study = plant(TRUTH, seed=1)
    cells = matrix(study)
    family = compare(study, cells, num_resamples=4999)
    assert len(family) == 14
    for item in family:
        assert item.gain == pytest.approx(TRUTH.truth(item.sources, item.target), abs=0.02)
        assert item.significant == (abs(TRUTH.truth(item.sources, item.target)) >= 0.02)
    lines = headlines(study, cells, family)
    assert [(line.target, line.kind) for line in lines] == [("sw", "any"), ("mr", "any"), ("mr", "transfer")]
    assert "fr" in lines[0].comparison.sources
    assert lines[1].comparison.own
    assert not lines[2].comparison.own
    assert lines[0].comparison.robust


def test_the_better_epsilon_is_chosen_on_eval() -> None:
    study = plant(TRUTH)
    cells = matrix(study)
    chosen = {study.systems[index].params["loss.solver.epsilon"] for index in cells.chosen.ravel()}
    assert chosen == {0.1}


def test_ranks_and_regret() -> None:
    cells = matrix(plant(TRUTH))
    regrets = cells.regrets()
    for column in range(2):
        assert regrets[cells.best(column), column] == 0.0
    assert cells.mean_ranks().sum() == pytest.approx(7 * 8 / 2)
    assert cells.best(1, transfer=True) not in np.flatnonzero(cells.own[:, 1])


def test_a_lucky_seed_flatters_and_the_cross_fit_does_not() -> None:
    """Without planted gains, lucky seeds raise the chosen gain above zero on average but not the cross-fitted gain."""
    null = Planted({name: {"sw": 0.0} for name in "abcd"}, num_topics=60, seed_sd=0.03, gain_sd=0.02, noise_sd=0.02)
    reported, honest = [], []
    for seed in range(40):
        study = plant(null, seed=seed)
        cells = matrix(study)
        family = compare(study, cells, num_resamples=99)
        best = next(item for item in family if item.label == cells.labels[cells.best(0)])
        selection = cross_fit(study, best, transfer=False)
        assert selection is not None
        reported.append(best.gain)
        honest.append(selection.gain)
    assert stats.ttest_1samp(reported, 0.0).pvalue < 1e-6
    assert stats.ttest_1samp(honest, 0.0).pvalue > 0.001


def test_shapley_shares_the_interaction() -> None:
    study = plant(TRUTH, seed=2)
    solutions, unsolved = solve(games(study, matrix(study)))
    assert not unsolved
    sw = next(found for found in solutions if found.game.target == "sw")
    values = {share.players[0]: share for share in sw.values}
    assert values["fr"].value == pytest.approx(0.05 - 0.015, abs=0.01)
    assert values["de"].value == pytest.approx(-0.015, abs=0.01)
    pairs = {pair.players: pair.value for pair in sw.pairs}
    assert pairs["de", "fr"] == pytest.approx(-0.03, abs=0.02)
    assert all(found.efficiency_error <= 1e-12 for found in solutions)
    assert [found.game.transfer for found in solutions if found.game.target == "mr"] == [False, True]
    assert sw.game.settings == 2


def test_an_incomplete_lattice_is_reported() -> None:
    study = plant(Planted(TRUTH.effects, max_size=2, num_topics=80))
    solutions, _ = solve(games(study, matrix(study)))
    assert {found.game.missing for found in solutions if not found.game.transfer} == {1}
    assert all("additive" in found.weights.method for found in solutions if not found.game.transfer)


def test_variance_shares_add_up_and_find_what_was_planted() -> None:
    found = variance_shares(plant(TRUTH))
    assert found is not None
    assert found.balanced
    shares = {item.name: item.share for item in found.components}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["topic"] > 0.3
    assert shares["source set × target"] > shares["seed"]
    assert shares["epsilon"] > shares["epsilon × target"]


def test_a_study_in_which_only_topics_vary() -> None:
    still = Planted({"de": {"sw": 0.0}}, num_topics=50, gain_sd=0.0, noise_sd=0.0, seed_sd=0.0)
    found = variance_shares(plant(still))
    assert found is not None
    assert {item.name: item.share for item in found.components}["topic"] == pytest.approx(1.0)


def test_stability_is_kendalls_tau() -> None:
    study = plant(TRUTH)
    found = rank_stability(study)
    means = study.test("sw").seed_means.mean(axis=1)
    oracle = stats.kendalltau(means[0::2], means[1::2]).statistic
    assert found["sw", "epsilon"].mean == pytest.approx(oracle)
    assert found["sw", "seed"].num_levels == 3


def test_the_epsilon_curve_is_the_mean_over_sets() -> None:
    study = plant(TRUTH)
    found = curve(study, "loss.solver.epsilon", "sw")
    assert found is not None
    assert found.x.tolist() == [0.1, 1.0]
    assert found.y == pytest.approx([study.test("sw").means[0::2].mean(), study.test("sw").means[1::2].mean()])
    assert (found.low < found.y).all()
    assert found.y[0] - found.y[1] == pytest.approx(0.04, abs=0.01)
