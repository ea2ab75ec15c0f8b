"""Folders of other programs: which are understood, which are refused, and in what words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from optical_ray.encoders.layouts import recognise
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.export.interface import Format
from optical_ray.registry import members
from optical_ray.storage import read_json, write_json
from optical_ray.types import InputError
from tests.export.students import student_of

FORMATS = members("optical_ray.export", Format)  # type: ignore[type-abstract]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    def write(kind: str) -> Path:
        place = tmp_path / kind
        place.mkdir()
        FORMATS[kind]().write(student_of(tmp_path / "source", "xlmr", "pieces"), place)
        return place

    return write


def edit(path: Path, **changes: object) -> None:
    write_json(path, {**read_json(path), **changes})


def test_each_layout_is_known_by_its_files(folder: Callable[[str], Path], xlmr: Path) -> None:
    assert recognise(xlmr).name == "hugging face"
    assert (recognise(xlmr).dim, recognise(xlmr).markers) == (None, {})
    pylate, colbert = recognise(folder("pylate")), recognise(folder("colbert"))
    assert (pylate.name, pylate.dim, pylate.markers) == ("pylate", 8, {"query": "[Q] ", "document": "[D] "})
    assert (colbert.name, colbert.dim, colbert.prefix) == ("colbert", 8, "roberta.")
    assert colbert.markers == {"query": "[Q]", "document": "[D]"}


def test_a_pooled_sentence_model_is_a_plain_encoder(folder: Callable[[str], Path]) -> None:
    place = folder("pylate")
    modules = read_json(place / "modules.json")
    pooling = {"idx": 2, "name": "2", "path": "2_Pooling", "type": "sentence_transformers.models.Pooling"}
    write_json(place / "modules.json", [*modules, pooling])
    assert recognise(place).name == "hugging face"


def test_two_projections_are_one_matrix(folder: Callable[[str], Path]) -> None:
    place = folder("pylate")
    shutil.copytree(place / "1_Dense", place / "2_Dense")
    second = torch.randn(4, 8)
    save_file({"linear.weight": second}, place / "2_Dense" / "model.safetensors")
    modules = read_json(place / "modules.json")
    write_json(place / "modules.json", [*modules, {**modules[1], "idx": 2, "path": "2_Dense"}])
    layout = recognise(place)
    first = load_file(place / "1_Dense" / "model.safetensors")["linear.weight"]
    weight = layout.projection_weight()
    assert weight is not None
    assert layout.dim == 4
    assert torch.allclose(weight, second @ first)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"bias": True}, "bias True"), ({"activation_function": "torch.nn.modules.activation.Tanh"}, "activation .*Tanh")],
)
def test_a_projection_that_is_more_than_linear_is_refused(
    folder: Callable[[str], Path], change: dict[str, object], said: str
) -> None:
    place = folder("pylate")
    edit(place / "1_Dense" / "config.json", **change)
    with pytest.raises(InputError, match=f"1_Dense is more than a linear projection .*{said}"):
        recognise(place)


def test_an_unknown_folder_says_what_is_understood_and_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError) as caught:
        recognise(tmp_path)
    for words in ("notes.txt", "PyLate folder", "Stanford ColBERT", "PLAID-X", "Hugging Face encoder"):
        assert words in str(caught.value)


def test_a_decoder_is_refused(xlmr: Path, tmp_path: Path) -> None:
    place = tmp_path / "decoder"
    shutil.copytree(xlmr, place)
    save_file({"model.embed_tokens.weight": torch.zeros(4, 2)}, place / "model.safetensors")
    edit(place / "config.json", model_type="llama")
    with pytest.raises(InputError, match="no encoder of BERT's or XLM-R's kind \\(llama"):
        recognise(place)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "colbert-400000.dnn", "model.pt"])
def test_pickled_weights_are_refused_with_the_reason(xlmr: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / "pickled"
    shutil.copytree(xlmr, place)
    (place / "model.safetensors").unlink()
    torch.save({}, place / name)
    with pytest.raises(InputError, match=f"{name}.*pickled weights are refused.*runs whatever code"):
        recognise(place)


def test_code_of_its_own_is_never_run(xlmr: Path, tmp_path: Path) -> None:
    place = tmp_path / "remote"
    shutil.copytree(xlmr, place)
    (place / "evil.py").write_text("raise SystemExit('was run')")
    edit(place / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModel": "evil.M"})
    config = PretrainedEncoder(checkpoint=str(place))
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    with pytest.raises(InputError, match="never run"):
        config.build(tokenizer)


def test_a_tokenizer_of_another_model_is_told_from_its_rows(xlmr: Path, tmp_path: Path) -> None:
    place = tmp_path / "mixed"
    shutil.copytree(xlmr, place)
    weights = load_file(place / "model.safetensors")
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name] = weights[name][:-10].clone()
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    rows = len(weights[name])
    with pytest.raises(InputError, match=f"has {rows + 10} pieces, but its embedding table only {rows} rows"):
        PretrainedEncoder(checkpoint=str(place)).tokenizer()


def test_missing_tensors_are_said_and_never_made_up(xlmr: Path, tmp_path: Path) -> None:
    place = tmp_path / "half"
    shutil.copytree(xlmr, place)
    weights = {name: value for name, value in load_file(place / "model.safetensors").items() if "query" not in name}
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    config = PretrainedEncoder(checkpoint=str(place))
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    with pytest.raises(InputError, match=r"tensors are missing, e\.g\. .*query"):
        config.build(tokenizer)


def test_a_dim_that_the_folder_contradicts_is_refused(folder: Callable[[str], Path]) -> None:
    place = str(folder("colbert"))
    assert PretrainedEncoder(checkpoint=place).width() == PretrainedEncoder(checkpoint=place, dim=8).width() == 8
    with pytest.raises(InputError, match=r"^dim: the checkpoint \(layout: colbert\) projects to 8, got 16"):
        PretrainedEncoder(checkpoint=place, dim=16).width()


def test_what_a_colbert_depends_on_is_in_its_identity(folder: Callable[[str], Path]) -> None:
    place = folder("pylate")
    before = PretrainedEncoder(checkpoint=str(place)).identity()
    (place / "README.md").write_text("another card")
    assert PretrainedEncoder(checkpoint=str(place)).identity() == before
    save_file({"linear.weight": torch.zeros(8, 24)}, place / "1_Dense" / "model.safetensors")
    assert PretrainedEncoder(checkpoint=str(place)).identity() != before


def test_options_that_came_later_leave_the_identity_alone(xlmr: Path) -> None:
    identity = PretrainedEncoder(checkpoint=str(xlmr)).identity()
    assert set(identity) == {
        "kind", "checkpoint", "dim", "markers", "query_length", "document_length", "dropout", "seed",
    }  # fmt: skip
    assert PretrainedEncoder(checkpoint=str(xlmr), layers=1).identity()["layers"] == 1
    assert json.dumps(identity)
