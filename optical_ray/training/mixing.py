"""From a trial's data block to the mixture that says which pairs make batch ``step``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from optical_ray.config.trial import TrialConfig
from optical_ray.data.mixture import Mixture, MixtureConfig
from optical_ray.training.bitext_tokens import BitextTokens, matched


class LengthTable(Protocol):
    """Lengths by row: an array, or a table that looks them up."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


def tables_of(
    trial: TrialConfig, tokens: Mapping[str, Sequence[Path]], leaks: Mapping[str, Sequence[Path]]
) -> dict[str, BitextTokens]:
    """The pairs that the trial may read, by source language: without leaks unless it keeps them, matched if it says so.

    Raises ``InputError`` where matched languages share no sentence.
    """
    drop = trial.data.leaks == "drop"
    tables = {
        language: BitextTokens(tokens[language], leaks.get(language, ()) if drop else ())
        for language in sorted(trial.data.source_languages)
    }
    return matched(tables) if trial.data.content == "matched" else tables


def mixture_of(trial: TrialConfig, lengths: Mapping[str, LengthTable], seed: int) -> Mixture:
    """The mixture over the languages of ``lengths`` (pieces of every pair, by language).

    Which pairs are in the budget does not depend on ``seed``, so that replicates and larger budgets share them; their
    order does. Raises ``InputError`` for a budget beyond what is there.
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
