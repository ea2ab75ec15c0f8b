"""Runs where colbert-ai is installed: TEXTS.json, then FOLDER OUT.npz pairs; the vectors that it keeps."""

import json
import sys

import numpy as np
from colbert.infra import ColBERTConfig
from colbert.modeling.checkpoint import Checkpoint
from colbert.modeling.colbert import ColBERT

ColBERT.try_load_torch_extensions = lambda *_: None  # it would compile C++ that only searching needs
with open(sys.argv[1], encoding="utf-8") as stream:
    sides = json.load(stream)
for folder, out in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
    model = Checkpoint(folder, colbert_config=ColBERTConfig(model_name=folder))
    queries = model.queryFromText(sides["queries"], bsize=16).numpy()
    documents = [kept.numpy() for text in sides["documents"] for kept in model.docFromText([text], keep_dims=False)]
    np.savez(
        out,
        queries=np.concatenate(queries),
        queries_lengths=np.array([len(some) for some in queries]),
        documents=np.concatenate(documents),
        documents_lengths=np.array([len(some) for some in documents]),
    )
