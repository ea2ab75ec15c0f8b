"""Pretrained encoders compute what transformers computes, with markers and a projection added."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from optical_ray.encoders.checkpoint import Checkpoint, save
from optical_ray.encoders.layouts import recognise
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.study.files import read_json
from optical_ray.types import InputError
from tests.encoders.checkpoints import TEXTS, write_xlmr


def test_its_vectors_are_the_last_layer_of_transformers(checkpoint: Path) -> None:
    config = PretrainedEncoder(checkpoint=str(checkpoint), markers=False)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    [ids] = tokenizer.encode([TEXTS[0]], "query", 32).ids
    embeddings = config.build(tokenizer).eval()(torch.tensor([ids]))
    with torch.no_grad():
        expected = AutoModel.from_pretrained(checkpoint).eval()(torch.tensor([ids])).last_hidden_state[0, 1:-1]
    expected = expected / expected.norm(dim=-1, keepdim=True)
    assert torch.allclose(embeddings.vectors[0, 1:-1], expected, atol=1e-5)
    assert embeddings.mask.tolist() == [[False, *[True] * len(expected), False]]


def test_markers_are_new_rows_at_the_mean_of_the_table(checkpoint: Path) -> None:
    config = PretrainedEncoder(checkpoint=str(checkpoint))
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    table = config.build(tokenizer).input_embeddings.weight.detach()
    old = AutoModel.from_pretrained(checkpoint).get_input_embeddings().weight.detach()
    assert table.shape[0] == tokenizer.size == old.shape[0] + 2
    assert torch.equal(table[: old.shape[0]], old)
    assert torch.allclose(table[old.shape[0] :], old.mean(dim=0).expand(2, -1))


@pytest.mark.parametrize("trim", [False, True])
def test_markers_start_at_the_mean_also_in_a_padded_table(xlmr: Path, tmp_path: Path, *, trim: bool) -> None:
    """Some checkpoints have more rows than pieces; the model never trained the rows that the markers get."""
    model = AutoModel.from_pretrained(xlmr)
    model.resize_token_embeddings(model.config.vocab_size + 3)
    model.save_pretrained(tmp_path)
    shutil.copy(xlmr / "tokenizer.json", tmp_path)
    old = model.get_input_embeddings().weight.detach()
    config = PretrainedEncoder(checkpoint=str(tmp_path), trim_vocabulary=trim)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    table = config.build(tokenizer).input_embeddings.weight.detach()
    assert len(table) == (tokenizer.size if trim else len(old))
    markers = sorted(tokenizer.markers.values())
    assert torch.equal(table[: markers[0]], old[: markers[0]])
    assert torch.allclose(table[markers], old.mean(dim=0).expand(2, -1))
    assert torch.equal(table[markers[-1] + 1 :], old[markers[-1] + 1 : len(table)])


@pytest.mark.parametrize("dim", [8, 24])
def test_the_projection_is_orthogonal_and_the_same_at_every_call(xlmr: Path, dim: int) -> None:
    config = PretrainedEncoder(checkpoint=str(xlmr), dim=dim)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    before = torch.get_rng_state()
    encoder = config.build(tokenizer)
    assert torch.equal(torch.get_rng_state(), before)
    assert encoder.dim == dim
    assert encoder.projection is not None
    weight = encoder.projection.weight.detach()
    assert torch.allclose(weight @ weight.T, torch.eye(dim), atol=1e-5)
    again = config.build(tokenizer).projection
    assert again is not None
    assert torch.equal(weight, again.weight)
    other = PretrainedEncoder(checkpoint=str(xlmr), dim=dim, seed=1).build(tokenizer).projection
    assert other is not None
    assert not torch.equal(weight, other.weight)


def test_weights_in_half_precision_are_trained_in_float32(tmp_path: Path) -> None:
    folder = write_xlmr(tmp_path, torch.float16)
    assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {torch.float16}
    config = PretrainedEncoder(checkpoint=str(folder), dim=8)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    encoder = config.build(tokenizer)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    save(tmp_path / "start", encoder, tokenizer, query_length=8, document_length=8)
    loaded = Checkpoint.open(tmp_path / "start").load()
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


@pytest.mark.parametrize("part", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused_with_its_content(xlmr: Path, tmp_path: Path, part: str) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(xlmr, folder)
    (folder / part).unlink()
    lacking = "*.safetensors" if part == "model.safetensors" else part
    rest = ", ".join(sorted({"config.json", "tokenizer.json", "model.safetensors"} - {part}))
    with pytest.raises(InputError) as caught:
        PretrainedEncoder(checkpoint=str(folder)).tokenizer()
    assert str(folder) in str(caught.value)
    assert f"lacks {lacking}" in str(caught.value)
    assert f"found: {rest}" in str(caught.value)


def test_pickled_weights_are_not_read(xlmr: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(xlmr / name, tmp_path)
    torch.save(load_file(xlmr / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"got pytorch_model\.bin, expected .*safetensors"):
        PretrainedEncoder(checkpoint=str(tmp_path)).identity()


@pytest.mark.parametrize("content", ["", "{", "[1]", json.dumps({"model": {"type": "Nothing"}})])
def test_a_tokenizer_that_cannot_be_read_is_refused(xlmr: Path, tmp_path: Path, content: str) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(xlmr, folder)
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=str(folder)):
        PretrainedEncoder(checkpoint=str(folder)).tokenizer()


def test_a_tokenizer_of_another_kind_is_refused(xlmr: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(xlmr, folder)
    rows = recognise(xlmr).rows
    pieces = {"a": 0, **{f"<|{index}|>": index for index in range(1, rows)}}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(pieces, unk_token="a"))
    backend.save(str(folder / "tokenizer.json"))
    with pytest.raises(InputError, match=rf"{folder}.*expected one of <s>, \[CLS\]"):
        PretrainedEncoder(checkpoint=str(folder)).tokenizer()


def test_its_identity_depends_on_the_content_of_its_files_and_not_on_their_folder(xlmr: Path, tmp_path: Path) -> None:
    first = PretrainedEncoder(checkpoint=str(xlmr)).identity()
    folder = tmp_path / "moved"
    shutil.copytree(xlmr, folder)
    assert PretrainedEncoder(checkpoint=str(folder)).identity() == first
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[0]
    weights[name] = weights[name] + 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert PretrainedEncoder(checkpoint=str(folder)).identity() != first


def test_an_unknown_name_on_the_hub_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("nobody/such-a-model", "/no/such/folder", "a b"):
        with pytest.raises(InputError, match=f"{name!r}: no such folder"):
            PretrainedEncoder(checkpoint=name).tokenizer()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"document_length": 1000},
            "^document_length: the checkpoint reads at most {most} pieces.*got 1000.* {most} or less",
        ),
        ({"query_length": 1000}, "^query_length: the checkpoint reads at most {most} pieces"),
        ({"layers": 9}, "^layers: the checkpoint has 1 layers .got 9.. Set layers: 1 or less"),
    ],
)
def test_settings_beyond_the_checkpoint_are_refused_before_it_is_built(
    checkpoint: Path, settings: dict[str, int], message: str
) -> None:
    """Two of XLM-R's 200 positions are reserved: those up to the padding id."""
    most = 198 if "xlm" in read_json(checkpoint / "config.json")["model_type"] else 200
    with pytest.raises(InputError, match=message.format(most=most)):
        PretrainedEncoder(checkpoint=str(checkpoint), **settings).width()  # type: ignore[arg-type]


def test_a_text_with_as_many_pieces_as_positions_is_read(checkpoint: Path) -> None:
    longest = recognise(checkpoint).longest
    assert longest is not None
    config = PretrainedEncoder(checkpoint=str(checkpoint), document_length=longest)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    [ids] = tokenizer.encode([" ".join(TEXTS) * 10], "document", longest).ids
    assert config.build(tokenizer)(torch.tensor([ids])).vectors.shape[1] == len(ids) == longest


@pytest.mark.parametrize(
    ("field", "value"), [("checkpoint", ""), ("dim", 0), ("query_length", 3), ("document_length", 0), ("dropout", 1.0)]
)
def test_values_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        PretrainedEncoder(**{"checkpoint": "x", field: value})  # type: ignore[arg-type]
