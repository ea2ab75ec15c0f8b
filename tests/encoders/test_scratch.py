"""Randomly initialised encoders: equal weights at every call, and vectors that do not depend on padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optical_ray.encoders.scratch import ScratchEncoder
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.training.batches import pad_ids
from tests.encoders.checkpoints import TEXTS

SMALL = ScratchEncoder(layers=2, hidden=32, heads=4, intermediate=48, dim=8, vocabulary=150)


def weights(encoder: TokenEncoder) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in encoder.parameters()])


def test_its_weights_depend_only_on_its_seed(tokenizer: PieceTokenizer) -> None:
    torch.manual_seed(1)
    first = weights(SMALL.build(tokenizer))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = weights(SMALL.build(tokenizer))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    other = ScratchEncoder(layers=2, hidden=32, heads=4, intermediate=48, dim=8, vocabulary=150, seed=1)
    assert not torch.equal(first, weights(other.build(tokenizer)))


def test_it_has_the_configured_size(tokenizer: PieceTokenizer) -> None:
    encoder = SMALL.build(tokenizer)
    assert encoder.dim == 8
    assert encoder.input_embeddings.weight.shape == (tokenizer.size, 32)
    assert encoder.backbone.config.num_hidden_layers == 2  # type: ignore[union-attr]


def test_texts_of_the_longest_length_fit(tokenizer: PieceTokenizer) -> None:
    config = ScratchEncoder(layers=1, hidden=16, heads=2, intermediate=16, dim=4, query_length=20, document_length=40)
    [ids] = tokenizer.encode([" ".join(TEXTS * 3)], "document", 40).ids
    assert len(ids) == 40
    assert config.build(tokenizer).eval()(torch.tensor([ids])).vectors.isfinite().all()


def test_dropout_is_off_by_default(tokenizer: PieceTokenizer) -> None:
    ids = torch.tensor(tokenizer.encode(TEXTS[:1], "query", 16).ids)
    plain = SMALL.build(tokenizer).train()
    assert torch.equal(plain(ids).vectors, plain(ids).vectors)
    config = ScratchEncoder(layers=2, hidden=32, heads=4, intermediate=48, dim=8, vocabulary=150, dropout=0.5)
    noisy = config.build(tokenizer)
    assert not torch.equal(noisy.train()(ids).vectors, noisy(ids).vectors)
    assert torch.equal(noisy.eval()(ids).vectors, plain.eval()(ids).vectors)


def test_pieces_of_text_have_unit_vectors_and_others_have_none(tokenizer: PieceTokenizer) -> None:
    rows = tokenizer.encode(TEXTS, "query", 32).ids
    ids = pad_ids([torch.tensor(row).numpy() for row in rows], tokenizer.pad)
    embeddings = SMALL.build(tokenizer).eval()(ids)
    for row, vectors, mask in zip(rows, embeddings.vectors, embeddings.mask, strict=True):
        of_text = [index for index, piece in enumerate(row) if piece not in tokenizer.specials]
        assert mask.nonzero().flatten().tolist() == of_text
        assert torch.allclose(vectors[mask].norm(dim=-1), torch.ones(len(of_text)), atol=1e-6)
        assert not vectors[~mask].any()


def test_a_text_of_special_pieces_only_has_vectors(tokenizer: PieceTokenizer) -> None:
    [empty] = tokenizer.encode([""], "query", 16).ids
    ids = torch.tensor([[*empty, tokenizer.pad, tokenizer.pad]])
    embeddings = SMALL.build(tokenizer).eval()(ids)
    assert embeddings.mask.tolist() == [[True] * len(empty) + [False, False]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, 0) for name in ("layers", "hidden", "heads", "intermediate", "dim")),
        ("hidden", 130),
        ("vocabulary", 99),
        ("query_length", 3),
        ("document_length", 3),
        ("dropout", 1.0),
        ("dropout", -0.1),
    ],
)
def test_sizes_out_of_range_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        ScratchEncoder(**{field: value})
