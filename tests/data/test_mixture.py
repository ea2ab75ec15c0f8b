from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ray.data.mixture import MixedBatch, Mixture, MixtureConfig, budget_amounts
from optical_ray.types import InputError


def mixture(
    sizes: dict[str, int], *, subsample_seed: int = 1, order_seed: int = 2, lengths: Any = None, **config: Any
) -> Mixture:
    return Mixture(
        sizes, MixtureConfig(**config), subsample_seed=subsample_seed, order_seed=order_seed, lengths=lengths
    )


def drawn(mixed: Mixture, steps: int) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {language: [] for language in mixed.languages}
    for step in range(steps):
        for language, row in zip(*mixed.batch(step), strict=True):
            rows[mixed.languages[language]].append(int(row))
    return rows


SIZES = st.dictionaries(st.sampled_from(["de", "hi", "mr", "so", "sw"]), st.integers(1, 200), min_size=1)


@settings(deadline=None)
@given(SIZES, st.integers(1, 16), st.integers(1, 8), st.sampled_from([0.5, 1.0, 3.0]), st.booleans())
def test_a_batch_is_the_same_by_seeking_and_by_running(
    sizes: dict[str, int], batch_size: int, window: int, temperature: float, sort: bool
) -> None:
    def make() -> Mixture:
        lengths = {language: np.arange(size) % 13 for language, size in sizes.items()} if sort else None
        return mixture(sizes, batch_size=batch_size, window=window, temperature=temperature, lengths=lengths)

    run = make()
    batches = [run.batch(step) for step in range(3 * window)]
    for step in (0, window, 3 * window - 1, 1):
        seeked = make().batch(step)
        assert np.array_equal(seeked.language, batches[step].language)
        assert np.array_equal(seeked.row, batches[step].row)
        assert len(seeked.row) == batch_size


@settings(deadline=None)
@given(SIZES, st.integers(1, 8), st.sampled_from([0.5, 1.0, 3.0]))
def test_draws_add_up_and_never_decrease(sizes: dict[str, int], batch_size: int, temperature: float) -> None:
    mixed = mixture(sizes, batch_size=batch_size, temperature=temperature)
    before = dict.fromkeys(sizes, 0)
    for total in range(1, 300):
        counts = mixed.draws(total)
        assert sum(counts.values()) == total
        assert all(counts[language] >= before[language] for language in sizes)
        before = counts


def test_draws_equal_the_drawn_pairs() -> None:
    mixed = mixture({"de": 31, "hi": 57}, batch_size=4, window=8, temperature=2.0)
    assert {language: len(rows) for language, rows in drawn(mixed, 24).items()} == mixed.draws(24 * 4)


def test_an_epoch_has_every_pair_of_the_budget_once() -> None:
    mixed = mixture({"de": 96, "hi": 32, "sw": 128}, batch_size=8, window=4)
    assert mixed.steps_per_epoch == 32
    rows = drawn(mixed, 32)
    assert {language: sorted(found) for language, found in rows.items()} == {
        "de": list(range(96)),
        "hi": list(range(32)),
        "sw": list(range(128)),
    }
    again = drawn(mixed, 64)
    assert again["de"][96:] != rows["de"], "a second epoch has another order"
    assert sorted(again["de"][96:]) == list(range(96))


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.9), (2.0, 0.75), (1e6, 0.5)])
def test_temperature_flattens_the_shares(temperature: float, share: float) -> None:
    counts = mixture({"de": 900, "sw": 100}, temperature=temperature).draws(100_000)
    assert counts["de"] / 100_000 == pytest.approx(share, abs=1e-4)


def test_budgets() -> None:
    sizes = {"de": 100, "hi": 90, "sw": 80}
    assert budget_amounts(sizes, MixtureConfig(pairs=200)) == {"de": 67, "hi": 67, "sw": 66}
    assert budget_amounts(sizes, MixtureConfig(pairs=80, budget="per_language")) == dict.fromkeys(sizes, 80)
    assert budget_amounts(sizes, MixtureConfig()) == sizes
    assert budget_amounts(sizes, MixtureConfig(pairs=999, repeat=True)) == dict.fromkeys(sizes, 333)


def test_a_smaller_budget_is_part_of_a_larger_and_of_other_language_sets() -> None:
    sizes = {"de": 1000, "hi": 1000}
    small = set(mixture(sizes, pairs=100).chosen_rows("de").tolist())
    large = set(mixture(sizes, pairs=500).chosen_rows("de").tolist())
    alone = set(mixture({"de": 1000}, pairs=250).chosen_rows("de").tolist())
    assert (len(small), len(large)) == (50, 250)
    assert small < large
    assert alone == large
    assert set(drawn(mixture(sizes, pairs=100, batch_size=10, window=10), 20)["de"]) == small


def test_the_order_seed_does_not_change_the_pairs() -> None:
    def chosen(**seeds: int) -> set[int]:
        return set(drawn(mixture({"de": 1000}, pairs=64, batch_size=8, window=8, **seeds), 8)["de"])

    assert chosen(order_seed=5) == chosen(order_seed=6)
    assert chosen(subsample_seed=5) != chosen(subsample_seed=6)


def test_matched_content_has_the_same_rows_in_every_language() -> None:
    sizes = {"de": 500, "hi": 500}
    matched = mixture(sizes, pairs=100, content="matched")
    assert np.array_equal(matched.chosen_rows("de"), matched.chosen_rows("hi"))
    independent = mixture(sizes, pairs=100, content="independent")
    assert not np.array_equal(independent.chosen_rows("de"), independent.chosen_rows("hi"))
    with pytest.raises(InputError, match="de 500, hi 400"):
        mixture({"de": 500, "hi": 400}, content="matched")


def test_repeating_visits_every_row_equally_often() -> None:
    rows = drawn(mixture({"so": 10}, pairs=30, repeat=True, batch_size=5, window=2), 6)["so"]
    assert sorted(rows) == sorted(list(range(10)) * 3)


def test_batches_have_pairs_of_similar_length() -> None:
    lengths = {language: np.random.default_rng(0).integers(3, 100, 640) for language in ("de", "hi")}
    sizes = dict.fromkeys(lengths, 640)

    def spread(mixed: Mixture) -> float:
        batches = [mixed.batch(step) for step in range(64)]
        return float(
            np.mean(
                [
                    np.ptp([lengths[mixed.languages[lang]][row] for lang, row in zip(*batch, strict=True)])
                    for batch in batches
                ]
            )
        )

    assert spread(mixture(sizes, batch_size=16, lengths=lengths)) < 0.2 * spread(mixture(sizes, batch_size=16))
    called = mixture(sizes, batch_size=16, lengths=lambda language, rows: lengths[language][rows])
    assert np.array_equal(called.batch(40).row, mixture(sizes, batch_size=16, lengths=lengths).batch(40).row)
    order = [float(np.mean(lengths["de"][called.batch(step).row])) for step in range(32)]
    assert order != sorted(order), "short batches must not all come first"


def test_equal_lengths_mix_languages() -> None:
    lengths = {"de": np.full(512, 7), "hi": np.full(512, 7)}
    mixed = mixture({"de": 512, "hi": 512}, batch_size=16, lengths=lengths)
    assert all(0 < mixed.batch(step).language.sum() < 16 for step in range(32))


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_workers_split_the_same_batch(world_size: int) -> None:
    mixed = mixture({"de": 100, "hi": 50}, batch_size=10, window=4)
    for step in (0, 3, 9):
        whole = mixed.batch(step)
        parts = [MixedBatch(*whole).of_rank(rank, world_size) for rank in range(world_size)]
        together = sorted((int(lang), int(row)) for part in parts for lang, row in zip(*part, strict=True))
        assert together == sorted(zip(whole.language.tolist(), whole.row.tolist(), strict=True))


def test_seeking_far_costs_one_window() -> None:
    mixed = mixture({"de": 10**8, "sw": 10**7}, temperature=2.0)
    assert mixed.batch(10**9).row.max() < 10**8


@pytest.mark.parametrize(
    ("sizes", "config", "message"),
    [
        ({"de": 100, "so": 40}, {"pairs": 100}, r"so has 40; lower pairs to at most 80 or set repeat: true"),
        ({"de": 100, "so": 40}, {"pairs": 41, "budget": "per_language"}, "lower pairs to at most 40"),
        ({"de": 100, "so": 40}, {"pairs": 1}, "fewer than one"),
        ({"de": 100, "so": 0}, {}, "no pairs are left in so"),
        ({}, {}, "empty"),
        ({"de": 1}, {"temperature": 0.0}, "temperature: must be > 0"),
        ({"de": 1}, {"temperature": float("nan")}, "temperature: must be > 0"),
        ({"de": 1}, {"batch_size": 0}, "batch_size: must be >= 1, got 0"),
        ({"de": 1}, {"budget": "all"}, "budget: must be"),
        ({"de": 1}, {"content": "some"}, "content: must be"),
    ],
)
def test_invalid_settings_are_refused(sizes: dict[str, int], config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mixture(sizes, **config)
