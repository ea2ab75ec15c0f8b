"""From a trial's data block to the pairs it may read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.trial import TrialConfig
from optical_ray.prepare.text import Preparation
from optical_ray.training.mixing import build_mixture, load_pairs
from optical_ray.types import InputError
from tests.tiny_study import NUM_PAIRS


def trial(experiment: Experiment, **data: Any) -> TrialConfig:
    block = experiment.trial.data.model_dump() | data
    return TrialConfig.model_validate(experiment.trial.model_dump() | {"data": block})


def lengths(**sizes: int) -> dict[str, Any]:
    return {language: np.arange(size) % 7 for language, size in sizes.items()}


def test_the_seed_orders_the_pairs_and_does_not_choose_them(experiment: Experiment) -> None:
    config, sizes = trial(experiment, source_languages=["de", "hi"], pairs=40), lengths(de=50, hi=50)
    one, other = (build_mixture(config, sizes, seed=seed) for seed in (1, 2))
    assert one.amounts == other.amounts == {"de": 20, "hi": 20}
    for language in sizes:
        assert set(one.chosen_rows(language)) == set(other.chosen_rows(language))
    assert one.batch(0).row.tolist() != other.batch(0).row.tolist()
    drawn = build_mixture(
        trial(experiment, source_languages=["de"], pairs=20, subsample_seed=1), lengths(de=50), seed=1
    )
    assert set(drawn.chosen_rows("de")) != set(one.chosen_rows("de"))


def test_a_larger_budget_contains_the_smaller(experiment: Experiment) -> None:
    small, large = (build_mixture(trial(experiment, pairs=pairs), lengths(de=50), seed=1) for pairs in (10, 30))
    assert set(small.chosen_rows("de")) < set(large.chosen_rows("de"))


@pytest.mark.parametrize(
    ("data", "amounts"),
    [
        ({"pairs": None}, {"de": 50, "hi": 30}),
        ({"pairs": 21}, {"de": 11, "hi": 10}),
        ({"pairs": 30, "budget": "per_language"}, {"de": 30, "hi": 30}),
        ({"pairs": 120, "repeat": True}, {"de": 60, "hi": 60}),
    ],
)
def test_the_budget_is_shared_out(experiment: Experiment, data: dict[str, Any], amounts: dict[str, int]) -> None:
    config = trial(experiment, source_languages=["de", "hi"], **data)
    assert build_mixture(config, lengths(hi=30, de=50), seed=1).amounts == amounts


def test_more_than_there_is_is_refused(experiment: Experiment) -> None:
    config = trial(experiment, source_languages=["de", "hi"], pairs=62)
    with pytest.raises(InputError, match=r"pairs: 62 .*hi has 30.*at most 60.*repeat"):
        build_mixture(config, lengths(hi=30, de=50), seed=1)


def test_a_trial_reads_its_own_languages(experiment: Experiment, prepared: Preparation) -> None:
    tables = load_pairs(trial(experiment, source_languages=["mr", "hi"]), prepared.inputs.bitext)
    assert {language: len(table) for language, table in tables.items()} == {"hi": NUM_PAIRS, "mr": NUM_PAIRS}
    assert list(tables) == ["hi", "mr"]
