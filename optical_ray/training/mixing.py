"""From a trial's data block to the mixture that says which pairs make batch ``step``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from optical_ray.config.trial import TrialConfig
from optical_ray.data.mixture import Mixture, MixtureConfig


def mixture_of(trial: TrialConfig, lengths: Mapping[str, NDArray[np.int64]], seed: int) -> Mixture:
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
    return Mixture(sizes, config, subsample_seed=data.subsample_seed, order_seed=seed, lengths=lengths)
