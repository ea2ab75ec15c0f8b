"""From a trial's ``data`` block to the mixture that determines which pairs make up the batch of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from optical_ray.config.trial import TrialConfig
from optical_ray.data.mixture import Mixture, MixtureConfig
from optical_ray.training.bitext_tokens import BitextTokens, matched
from optical_ray.training.inputs import Bitext


class LengthTable(Protocol):
    """The number of tokens of pairs, by row: an array, or a table on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


def load_pairs(trial: TrialConfig, bitext: Bitext) -> dict[str, BitextTokens]:
    """The pairs that a trial may read, by source language.

    Pairs that contain evaluation text are excluded unless ``data.leaks`` is ``keep``; with ``data.content: matched``
    only the pivot sentences that all languages have are included. Raises ``InputError`` if there is no such sentence.
    """
    drop = trial.data.leaks == "drop"
    tables = {
        language: BitextTokens(bitext.tokens[language], bitext.leaks[language] if drop else ())
        for language in sorted(trial.data.source_languages)
    }
    return matched(tables) if trial.data.content == "matched" else tables


def build_mixture(trial: TrialConfig, lengths: Mapping[str, LengthTable], seed: int) -> Mixture:
    """The mixture over the languages of ``lengths`` (number of tokens of every pair, by language).

    Which pairs are in the budget does not depend on ``seed``, so that replicates and larger budgets share them; their
    order does. Raises ``InputError`` if the budget exceeds the data.
    """
    data = trial.data
    config = MixtureConfig(
        pairs=data.pairs,
        budget=data.budget,
        content=data.content,
        temperature=data.temperature,
        repeat=data.repeat,
        batch_size=data.batch_size,
    )
    sizes = {language: len(lengths[language]) for language in sorted(lengths)}
    return Mixture(
        sizes,
        config,
        subsample_seed=data.subsample_seed,
        order_seed=seed,
        lengths=lambda language, rows: lengths[language][rows],
    )
