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
from optical_ray.study.files import read_json, write_json
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


def change_weights(place: Path, change: Callable[[torch.Tensor], torch.Tensor], ending: str) -> tuple[int, ...]:
    """Give the tensor whose name has this ending another shape; returned is the new one."""
    weights = load_file(place / "model.safetensors")
    name = next(name for name in weights if name.endswith(ending))
    weights[name] = change(weights[name]).clone()
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    return tuple(weights[name].shape)


@pytest.mark.parametrize("more", [-10, 500])
def test_a_tokenizer_of_another_model_is_told_from_its_rows(xlmr: Path, tmp_path: Path, more: int) -> None:
    place = tmp_path / "mixed"
    shutil.copytree(xlmr, place)
    pieces = read_json(place / "config.json")["vocab_size"]
    rows = pieces + more
    change_weights(place, lambda table: torch.cat([table, torch.zeros(500, 24)])[:rows], "word_embeddings.weight")
    edit(place / "config.json", vocab_size=rows)
    with pytest.raises(InputError, match=f"has {pieces} pieces, but its embedding table {rows} rows; they do not"):
        PretrainedEncoder(checkpoint=str(place)).tokenizer()


@pytest.mark.parametrize(("name", "value"), [("vocab_size", 70), ("hidden_size", 48), ("embedding_size", 12)])
def test_a_configuration_of_another_model_is_told_from_the_table(
    xlmr: Path, tmp_path: Path, name: str, value: int
) -> None:
    place = tmp_path / "mixed"
    shutil.copytree(xlmr, place)
    rows = read_json(place / "config.json")["vocab_size"]
    edit(place / "config.json", **{name: value})
    with pytest.raises(InputError, match=f"says {name} {value}, but .* has {rows} rows of 24 numbers"):
        PretrainedEncoder(checkpoint=str(place)).width()


def test_weights_of_other_shapes_are_said(xlmr: Path, tmp_path: Path) -> None:
    place = tmp_path / "shapes"
    shutil.copytree(xlmr, place)
    edit(place / "config.json", intermediate_size=40)
    config = PretrainedEncoder(checkpoint=str(place))
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    with pytest.raises(InputError, match=r"not of its config\.json: size mismatch for .*intermediate.* and 2 more"):
        config.build(tokenizer)


@pytest.mark.parametrize(
    ("kind", "name", "content", "said"),
    [
        ("pylate", "modules.json", [{"path": "1_Dense"}], "expected modules with idx, path and type"),
        ("pylate", "modules.json", [1], "expected modules with idx, path and type, got 1"),
        ("pylate", "modules.json", {}, "expected a list of modules, got dict"),
        ("pylate", "config.json", [], "config.json: expected a JSON object, got list"),
        ("pylate", "1_Dense/config.json", "x", "expected a JSON object, got str"),
        ("pylate", "config_sentence_transformers.json", [], "expected a JSON object, got list"),
        ("pylate", "encoder.json", [], "encoder.json: expected a JSON object, got list"),
        ("colbert", "artifact.metadata", [], "artifact.metadata: expected a JSON object, got list"),
    ],
)
def test_json_of_another_shape_is_refused(
    folder: Callable[[str], Path], kind: str, name: str, content: object, said: str
) -> None:
    place = folder(kind)
    write_json(place / name, content)
    with pytest.raises(InputError, match=said):
        recognise(place)


def test_modules_without_an_index_stand_in_their_order(folder: Callable[[str], Path]) -> None:
    place = folder("pylate")
    modules = read_json(place / "modules.json")
    write_json(place / "modules.json", [{key: module[key] for key in ("path", "type")} for module in modules])
    assert recognise(place).dim == 8


def test_a_dense_module_that_is_not_whole_says_what_it_lacks(folder: Callable[[str], Path]) -> None:
    place = folder("pylate")
    weights = place / "1_Dense" / "model.safetensors"
    save_file({"other": torch.zeros(2, 2)}, weights)
    with pytest.raises(InputError, match=r"1_Dense holds no \*\.safetensors with linear\.weight"):
        recognise(place)
    save_file({"linear.weight": torch.zeros(8, 23)}, weights)
    with pytest.raises(InputError, match="1_Dense reads 23 numbers, but gets 24"):
        recognise(place)
    weights.unlink()
    torch.save({}, place / "1_Dense" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"1_Dense.*found: pytorch_model\.bin.*pickled weights are refused.*runs"):
        recognise(place)
    shutil.rmtree(place / "1_Dense")
    with pytest.raises(InputError, match=r"modules\.json names 1_Dense, but there is no 1_Dense/config\.json"):
        recognise(place)


def test_plaid_x_settings_below_config_are_read(folder: Callable[[str], Path]) -> None:
    place = folder("colbert")
    write_json(place / "artifact.metadata", {"config": read_json(place / "artifact.metadata"), "version": 1})
    assert recognise(place).markers == {"query": "[Q]", "document": "[D]"}


def test_markers_that_are_not_asked_for_need_not_be_pieces(folder: Callable[[str], Path]) -> None:
    place = folder("colbert")
    edit(place / "artifact.metadata", query_token_id="[unused0]")
    with pytest.raises(InputError, match=r"marker '\[unused0\]' is no piece"):
        PretrainedEncoder(checkpoint=str(place)).tokenizer()
    bare = PretrainedEncoder(checkpoint=str(place), markers=False).tokenizer()
    assert bare is not None
    assert not bare.markers


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
