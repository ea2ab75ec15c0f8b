"""What every kind of encoder guarantees."""

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
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, train_vocabulary
from optical_ray.registry import members
from tests.encoders.checkpoints import TEXTS, write_xlmr

EXAMPLES: dict[str, Callable[[Path], EncoderConfig]] = {
    **{kind: member.example for kind, member in members("optical_ray.encoders", EncoderConfig).items()},  # type: ignore[type-abstract]
    "pretrained-xlmr": lambda folder: PretrainedEncoder(checkpoint=str(write_xlmr(folder))),
}
"""The example of every kind, and a second one of the kind that reads several architectures."""


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


def test_it_is_a_value(config: EncoderConfig) -> None:
    assert fields(config)[0].name == "kind"  # type: ignore[arg-type]
    assert replace(config) == config  # type: ignore[type-var]
    assert hash(replace(config)) == hash(config)  # type: ignore[type-var]


def test_its_identity_is_json_without_paths(config: EncoderConfig, tmp_path: Path) -> None:
    identity = config.identity()
    assert digest(identity) == digest(json.loads(json.dumps(identity)))
    assert str(tmp_path.parents[1]) not in json.dumps(identity)


def test_its_width_is_that_of_its_vectors(config: EncoderConfig, encoder: TokenEncoder) -> None:
    assert config.width() == encoder.dim
    assert config.width_before_download() in (None, encoder.dim)


def test_a_checkpoint_can_be_read_from_another_folder(config: EncoderConfig, tmp_path: Path) -> None:
    if config.checkpoint is None:
        assert type(config).example(tmp_path) == config
        assert not list(tmp_path.iterdir())
    else:
        moved = tmp_path / "moved"
        moved.symlink_to(config.checkpoint)
        other = replace(config, checkpoint=str(moved))  # type: ignore[type-var]
        assert other.identity() == config.identity()


def test_it_is_built_equally_every_time_and_leaves_the_random_state(
    config: EncoderConfig, tokenizer: PieceTokenizer, encoder: TokenEncoder
) -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = config.build(tokenizer)
    assert torch.equal(torch.get_rng_state(), before)
    for (name, first), (_, second) in zip(encoder.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(first, second), name


def test_pieces_of_text_have_unit_vectors(encoder: TokenEncoder, tokenizer: PieceTokenizer) -> None:
    ids = padded(tokenizer, TEXTS)
    embeddings = encoder(ids)
    assert embeddings.vectors.shape == (*ids.shape, encoder.dim)
    assert embeddings.vectors.dtype == torch.float32
    assert embeddings.mask.any(dim=1).all()
    assert not embeddings.mask[ids == tokenizer.pad].any()
    assert torch.allclose(embeddings.vectors.norm(dim=-1), embeddings.mask.float(), atol=1e-5)


def test_neither_padding_nor_other_texts_change_a_vector(encoder: TokenEncoder, tokenizer: PieceTokenizer) -> None:
    single = encoder(padded(tokenizer, TEXTS[:1]))
    wide = encoder(padded(tokenizer, TEXTS[:1], width=30))
    together = encoder(padded(tokenizer, TEXTS))
    size = single.vectors.shape[1]
    for other in (wide, together):
        assert torch.equal(other.mask[0, :size], single.mask[0])
        assert torch.allclose(other.vectors[0, :size], single.vectors[0], atol=1e-5)


def test_every_parameter_gets_a_gradient(encoder: TokenEncoder, tokenizer: PieceTokenizer) -> None:
    embeddings = encoder(padded(tokenizer, TEXTS))
    (embeddings.vectors * torch.linspace(0, 1, encoder.dim)).sum().backward()
    assert not [name for name, parameter in encoder.named_parameters() if parameter.grad is None]
    encoder.zero_grad(set_to_none=True)


def test_it_is_saved_and_loaded_with_equal_vectors(
    config: EncoderConfig, encoder: TokenEncoder, tokenizer: PieceTokenizer, tmp_path: Path
) -> None:
    lengths = {"query_length": config.query_length, "document_length": config.document_length}
    save(tmp_path / "saved", encoder, tokenizer, **lengths)
    opened = Checkpoint.open(tmp_path / "saved")
    loaded, ids = opened.load(), padded(tokenizer, TEXTS)
    assert not loaded.training
    assert opened.tokenizer().digest == tokenizer.digest
    assert torch.equal(loaded(ids).vectors, encoder(ids).vectors)
