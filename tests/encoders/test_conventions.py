"""Which tokens have vectors: sentence ends, markers, punctuation, masks of an expanded query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from optical_ray.encoders.checkpoint import Checkpoint, save
from optical_ray.encoders.conventions import Conventions, punctuation
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer
from tests.export.students import student_of

TEXT = "bread , and salt ."


def read(folder: Path, kind: str = "xlmr", **settings: Any) -> tuple[TokenEncoder, PieceTokenizer]:
    student_of(folder, kind, "pieces")
    config = PretrainedEncoder(checkpoint=str(folder / kind), query_length=16, document_length=24, **settings)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    return config.build(tokenizer).eval(), tokenizer


def pieces_with_vectors(encoder: TokenEncoder, tokenizer: PieceTokenizer, ids: list[int]) -> list[str]:
    [mask] = encoder(torch.tensor([ids])).mask.tolist()
    return [str(tokenizer.backend.id_to_token(index)) for index, real in zip(ids, mask, strict=True) if real]


def test_sentence_ends_and_markers_have_vectors_with_support_all(tmp_path: Path) -> None:
    encoder, tokenizer = read(tmp_path, support="all")
    [ids] = tokenizer.encode([TEXT], "query", 16).ids
    pieces = pieces_with_vectors(encoder, tokenizer, ids)
    assert pieces[:2] == ["<s>", "[Q]"]
    assert pieces[-1] == "</s>"
    assert len(pieces) == len(ids)
    padded = encoder(torch.tensor([[*ids, tokenizer.pad]]))
    assert not padded.mask[0, -1]


@pytest.mark.parametrize("kind", ["xlmr", "bert"])
def test_skipped_punctuation_has_vectors_in_queries_and_not_in_documents(tmp_path: Path, kind: str) -> None:
    encoder, tokenizer = read(tmp_path, kind, skip_punctuation=True)
    query, document = (tokenizer.encode([TEXT], role, 24).ids[0] for role in ("query", "document"))
    assert {piece.lstrip("▁") for piece in pieces_with_vectors(encoder, tokenizer, query)} >= {",", "."}
    assert not {piece.lstrip("▁") for piece in pieces_with_vectors(encoder, tokenizer, document)} & {",", "."}
    assert pieces_with_vectors(encoder, tokenizer, document)


def test_signs_at_the_start_of_a_word_are_punctuation(tmp_path: Path) -> None:
    _, tokenizer = read(tmp_path)
    pieces = {str(tokenizer.backend.id_to_token(index)) for index in punctuation(tokenizer.backend)}
    assert "▁," in pieces or "," in pieces
    assert all(len(piece.removeprefix("▁")) == 1 for piece in pieces)


def test_skipping_punctuation_needs_markers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="skip_punctuation: needs markers"):
        PretrainedEncoder(checkpoint="somewhere", markers=False, skip_punctuation=True)


def test_an_expanded_query_has_its_full_length_and_its_masks_are_not_attended_to(tmp_path: Path) -> None:
    plain, tokenizer = read(tmp_path)
    config = PretrainedEncoder(checkpoint=str(tmp_path / "xlmr"), query_length=16, query_expansion=True)
    wide = config.tokenizer()
    assert wide is not None
    expanded = config.build(wide).eval()
    [short], [full] = wide.encode(["sea"], "query", 16).ids, wide.encode_queries(["sea"], 16).ids
    assert full[: len(short)] == short
    assert set(full[len(short) :]) == {wide.mask}
    assert len(full) == 16
    one, other = plain(torch.tensor([short])), expanded(torch.tensor([full]))
    assert other.mask[0, len(short) :].all()
    assert torch.allclose(one.vectors, other.vectors[:, : len(short)], atol=1e-6)
    assert tokenizer.encode_queries(["sea"], 16).ids == [short]
    assert wide.digest != tokenizer.digest


def test_conventions_are_saved_and_loaded(tmp_path: Path) -> None:
    encoder, tokenizer = read(tmp_path, support="all", skip_punctuation=True, query_expansion=True)
    save(tmp_path / "saved", encoder, tokenizer, query_length=16, document_length=24)
    opened = Checkpoint.open(tmp_path / "saved")
    assert opened.conventions == Conventions("all", skip_punctuation=True, query_expansion=True)
    ids = torch.tensor(opened.tokenizer().encode([TEXT], "document", 24).ids)
    one, other = opened.load()(ids), encoder(ids)
    assert torch.equal(one.mask, other.mask)
    assert torch.equal(one.vectors, other.vectors)


def test_layers_keeps_the_first_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"layers: the checkpoint has 1 layers \(got 2\)"):
        read(tmp_path, layers=2)
    encoder, _ = read(tmp_path / "again", layers=1)
    assert len(encoder.backbone.encoder.layer) == 1  # type: ignore[union-attr, arg-type]
