"""Runs where PyLate is installed: TEXTS.json, then FOLDER OUT.npz pairs; writes the vectors that PyLate keeps."""

import json
import sys

import numpy as np
from pylate import models

with open(sys.argv[1], encoding="utf-8") as stream:
    sides = json.load(stream)
for folder, out in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
    model = models.ColBERT(folder, device="cpu")
    assert model[0].auto_model.get_input_embeddings().weight.shape[0] == len(model.tokenizer)
    found = {}
    for side, is_query in (("queries", True), ("documents", False)):
        vectors = model.encode(sides[side], is_query=is_query, show_progress_bar=False)
        found[side] = np.concatenate(vectors)
        found[f"{side}_lengths"] = np.array([len(some) for some in vectors])
    np.savez(out, **found)
