"""What every kind of encoder keeps, whoever writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from optical_ray.config.key import digest
from optical_ray.encoders.checkpoint import Checkpoint, save
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.encoders.scratch import ScratchEncoder
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, train_vocabulary
from optical_ray.registry import members
from tests.encoders.checkpoints import TEXTS, write_bert, write_xlmr

KINDS = members("optical_ray.encoders", EncoderConfig)  # type: ignore[type-abstract]
SMALL = ScratchEncoder(layers=1, hidden=16, heads=2, intermediate=16, dim=4, vocabulary=150)
EXAMPLES: dict[str, Callable[[Path], EncoderConfig]] = {
    "scratch": lambda folder: SMALL,
    "pretrained-xlmr": lambda folder: PretrainedEncoder(checkpoint=str(write_xlmr(folder))),
    "pretrained-bert": lambda folder: PretrainedEncoder(checkpoint=str(write_bert(folder)), dim=8),
}


@pytest.fixture(scope="module", params=EXAMPLES)
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EncoderConfig:
    return EXAMPLES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def tokenizer(config: EncoderConfig) -> PieceTokenizer:
    return config.tokenizer() or train_vocabulary(TEXTS, 150)


@pytest.fixture(scope="module")
def encoder(config: EncoderConfig, tokenizer: PieceTokenizer) -> TokenEncoder:
    return config.build(tokenizer).eval()


def padded(tokenizer: PieceTokenizer, texts: tuple[str, ...], width: int = 0) -> torch.Tensor:
    rows = tokenizer.encode(texts, "query", 20).ids
    longest = max(width, *map(len, rows))
    return torch.tensor([row + [tokenizer.pad] * (longest - len(row)) for row in rows])


def test_every_kind_has_an_example() -> None:
    assert {name.partition("-")[0] for name in EXAMPLES} == set(KINDS)


def test_it_is_a_value(config: EncoderConfig) -> None:
    assert fields(config)[0].name == "kind"  # type: ignore[arg-type]
    assert replace(config) == config  # type: ignore[type-var]
    assert hash(replace(config)) == hash(config)  # type: ignore[type-var]


def test_its_identity_can_be_digested_and_names_no_place(config: EncoderConfig, tmp_path: Path) -> None:
    identity = config.identity()
    assert digest(identity) == digest(json.loads(json.dumps(identity)))
    assert str(tmp_path.parents[1]) not in json.dumps(identity)


def test_it_is_built_the_same_every_time_and_leaves_randomness_alone(
    config: EncoderConfig, tokenizer: PieceTokenizer, encoder: TokenEncoder
) -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = config.build(tokenizer)
    assert torch.equal(torch.get_rng_state(), before)
    for (name, one), (_, other) in zip(encoder.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def test_it_gives_unit_vectors_where_the_text_is(encoder: TokenEncoder, tokenizer: PieceTokenizer) -> None:
    ids = padded(tokenizer, TEXTS)
    cloud = encoder(ids)
    assert cloud.vectors.shape == (*ids.shape, encoder.dim)
    assert cloud.vectors.dtype == torch.float32
    assert cloud.mask.any(dim=1).all()
    assert not cloud.mask[ids == tokenizer.pad].any()
    assert torch.allclose(cloud.vectors.norm(dim=-1), cloud.mask.float(), atol=1e-5)


def test_neither_padding_nor_other_texts_change_a_vector(encoder: TokenEncoder, tokenizer: PieceTokenizer) -> None:
    alone = encoder(padded(tokenizer, TEXTS[:1]))
    wide = encoder(padded(tokenizer, TEXTS[:1], width=30))
    together = encoder(padded(tokenizer, TEXTS))
    size = alone.vectors.shape[1]
    for other in (wide, together):
        assert torch.equal(other.mask[0, :size], alone.mask[0])
        assert torch.allclose(other.vectors[0, :size], alone.vectors[0], atol=1e-5)


def test_a_gradient_reaches_every_weight_that_counts(encoder: TokenEncoder, tokenizer: PieceTokenizer) -> None:
    cloud = encoder(padded(tokenizer, TEXTS))
    (cloud.vectors * torch.linspace(0, 1, encoder.dim)).sum().backward()
    touched = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert touched == {name for name, _ in encoder.named_parameters()}
    encoder.zero_grad(set_to_none=True)


def test_it_comes_back_from_disk_as_it_was(
    config: EncoderConfig, encoder: TokenEncoder, tokenizer: PieceTokenizer, tmp_path: Path
) -> None:
    lengths = {"query_length": config.query_length, "document_length": config.document_length}
    save(tmp_path / "saved", encoder, tokenizer, **lengths)
    opened = Checkpoint.open(tmp_path / "saved")
    loaded, ids = opened.load(), padded(tokenizer, TEXTS)
    assert not loaded.training
    assert opened.tokenizer().digest == tokenizer.digest
    assert torch.equal(loaded(ids).vectors, encoder(ids).vectors)
