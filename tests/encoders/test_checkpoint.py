"""An encoder that is saved and loaded gives the same vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from optical_ray.encoders.checkpoint import Checkpoint, save
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.encoders.scratch import ScratchEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.types import InputError
from tests.encoders.checkpoints import TEXTS

SMALL = ScratchEncoder(layers=1, hidden=16, heads=2, intermediate=16, dim=4, vocabulary=150)


def test_a_folder_without_encoder_json_is_incomplete(tokenizer: PieceTokenizer, tmp_path: Path) -> None:
    save(tmp_path, SMALL.build(tokenizer), tokenizer, query_length=9, document_length=11)
    opened = Checkpoint.open(tmp_path)
    assert (opened.query_length, opened.document_length, opened.dim, opened.markers) == (9, 11, 4, True)
    assert opened.tokenizer().digest == tokenizer.digest
    for part in ("encoder.json", "config.json", "tokenizer.json", "model.safetensors"):
        assert (tmp_path / part).is_file()
    (tmp_path / "encoder.json").unlink()
    with pytest.raises(InputError, match=r"no encoder\.json \(found: .*model\.safetensors"):
        Checkpoint.open(tmp_path)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_an_encoder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=rf"{name}: no encoder\.json"):
        Checkpoint.open(tmp_path / name)


@pytest.mark.parametrize("dim", [None, 8])
@pytest.mark.parametrize("markers", [True, False])
def test_a_saved_encoder_does_not_need_its_first_folder(
    checkpoint: Path, tmp_path: Path, dim: int | None, markers: bool
) -> None:
    shutil.copytree(checkpoint, tmp_path / "first")
    config = PretrainedEncoder(checkpoint=str(tmp_path / "first"), dim=dim, markers=markers)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    encoder = config.build(tokenizer).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.01)
    save(tmp_path / "second", encoder, tokenizer, query_length=32, document_length=64)
    shutil.rmtree(tmp_path / "first")
    opened = Checkpoint.open(tmp_path / "second")
    rows = opened.tokenizer().encode(TEXTS[:3], "query", 8).ids
    assert rows == tokenizer.encode(TEXTS[:3], "query", 8).ids
    ids = torch.tensor([row + [tokenizer.pad] * (8 - len(row)) for row in rows])
    first, second = encoder(ids), opened.load()(ids)
    assert torch.equal(first.mask, second.mask)
    assert torch.equal(first.vectors, second.vectors)
