"""How much of one language's subwords another language's text has: a guess at what they can share."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from optical_ray.config.experiment import Experiment
from optical_ray.data.ragged import Ragged
from optical_ray.prepare.text import Text
from optical_ray.study.files import read_json


def subword_overlap(experiment: Experiment, text: Text) -> dict[str, dict[str, float]]:
    """For every two languages of the study, ``a -> b ->`` the share of ``b``'s distinct pieces that ``a`` has too.

    A language's pieces are those of its side of the bitext, and of the topics that are in it, as the student cuts them;
    markers and padding do not count.
    """
    specials = list(text.init.tokenizer.open().specials)
    pieces: dict[str, list[NDArray[np.bool_]]] = {}
    for language, folders in text.tokens.items():
        pieces[language] = [np.load(folder / "foreign_rows.npy") > 0 for folder in folders]
    size = max(len(flags) for found in pieces.values() for flags in found)
    for folder in text.collections:
        target = read_json(folder / "collection.json")["target"]
        language = getattr(experiment.data.collections[target], "language", target)
        flags = np.zeros(size, dtype=bool)
        flags[Ragged.open(folder, "topics").values.astype(np.int64)] = True
        pieces.setdefault(language, []).append(flags)
    known = {language: reduce(np.logical_or, found) for language, found in pieces.items()}
    for flags in known.values():
        flags[specials] = False
    return {
        one: {other: round(float((has & theirs).sum() / max(1, theirs.sum())), 4) for other, theirs in known.items()}
        for one, has in known.items()
    }
