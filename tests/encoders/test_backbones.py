"""Encoders with other architectures than BERT and XLM-R are read, saved and loaded with equal vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from optical_ray.encoders.checkpoint import Checkpoint, save
from optical_ray.encoders.conventions import punctuation
from optical_ray.encoders.pretrained import PretrainedEncoder
from tests.encoders.checkpoints import OTHERS, TEXTS, write_modernbert, write_other


def write(folder: Path, kind: str) -> Path:
    return write_modernbert(folder) if kind == "modernbert" else write_other(folder, kind)


@pytest.mark.parametrize("kind", [*OTHERS, "modernbert"])
def test_every_architecture_gives_the_vectors_of_transformers_and_is_saved(kind: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "first", kind)
    config = PretrainedEncoder(checkpoint=str(folder), markers=False)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    ids = torch.tensor(tokenizer.encode(TEXTS[:1], "query", 32).ids)
    encoder = config.build(tokenizer).eval()
    embeddings = encoder(ids)
    with torch.no_grad():
        expected = AutoModel.from_pretrained(folder).eval()(ids).last_hidden_state
    expected = torch.nn.functional.normalize(expected, dim=-1) * embeddings.mask.unsqueeze(-1)
    assert torch.allclose(embeddings.vectors, expected, atol=1e-5)
    save(tmp_path / "second", encoder, tokenizer, query_length=32, document_length=64)
    assert torch.equal(Checkpoint.open(tmp_path / "second").load()(ids).vectors, embeddings.vectors)


@pytest.mark.parametrize("kind", [*OTHERS, "modernbert"])
def test_every_architecture_gets_markers_and_dropout(kind: str, tmp_path: Path) -> None:
    config = PretrainedEncoder(checkpoint=str(write(tmp_path, kind)), dim=8, dropout=0.5)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    encoder = config.build(tokenizer)
    assert encoder.input_embeddings.weight.shape[0] == tokenizer.size
    ids = torch.tensor(tokenizer.encode(TEXTS[:1], "document", 32).ids)
    assert not torch.equal(encoder.train()(ids).vectors, encoder(ids).vectors)
    assert torch.equal(encoder.eval()(ids).vectors, encoder(ids).vectors)


def test_a_sign_after_a_space_is_punctuation_in_byte_level_vocabularies(tmp_path: Path) -> None:
    tokenizer = PretrainedEncoder(checkpoint=str(write_modernbert(tmp_path))).tokenizer()
    assert tokenizer is not None
    signs = {tokenizer.backend.id_to_token(index) for index in punctuation(tokenizer.backend)}
    assert {",", "Ġ,", "."} <= signs
