"""Subword overlap of languages, a predictor of transfer between them."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from optical_ray.config.experiment import Experiment
from optical_ray.data.ragged import Ragged
from optical_ray.prepare.text import Preparation
from optical_ray.study.files import read_json


def subword_overlap(experiment: Experiment, preparation: Preparation) -> dict[str, dict[str, float]]:
    """Return ``a -> b ->`` the share of ``b``'s distinct subwords that ``a`` has too, for any two languages.

    The subwords of a language are those of its side of the bitext and of the topics in it, by the student's tokenizer,
    without special tokens.
    """
    specials = list(preparation.initial_student.tokenizer.open().specials)
    pieces: dict[str, list[NDArray[np.bool_]]] = {}
    for language, folders in preparation.inputs.bitext.tokens.items():
        pieces[language] = [np.load(folder / "foreign_rows.npy") > 0 for folder in folders]
    size = max(len(flags) for tables in pieces.values() for flags in tables)
    for folder in preparation.inputs.scoring.collections:
        target = read_json(folder / "collection.json")["target"]
        language = getattr(experiment.data.collections[target], "language", target)
        flags = np.zeros(size, dtype=bool)
        flags[Ragged.open(folder, "topics").values.astype(np.int64)] = True
        pieces.setdefault(language, []).append(flags)
    known = {language: reduce(np.logical_or, tables) for language, tables in pieces.items()}
    for flags in known.values():
        flags[specials] = False
    return {
        first: {second: round(float((a & b).sum() / max(1, b.sum())), 4) for second, b in known.items()}
        for first, a in known.items()
    }
