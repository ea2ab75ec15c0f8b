"""Runs in sentence-transformers >= 6: TEXTS.json, then FOLDER OUT.npz pairs; its vectors and its scores."""

import json
import sys

import numpy as np
from sentence_transformers import MultiVectorEncoder

with open(sys.argv[1], encoding="utf-8") as stream:
    sides = json.load(stream)
for folder, out in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
    model = MultiVectorEncoder(folder, device="cpu")
    clouds = {
        "queries": model.encode_query(sides["queries"], convert_to_numpy=True),
        "documents": model.encode_document(sides["documents"], convert_to_numpy=True),
    }
    found = {side: np.concatenate(vectors) for side, vectors in clouds.items()}
    found |= {f"{side}_lengths": np.array([len(some) for some in vectors]) for side, vectors in clouds.items()}
    np.savez(out, scores=np.asarray(model.similarity(clouds["queries"], clouds["documents"])), **found)
