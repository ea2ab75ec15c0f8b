"""Folders of other programs: which layouts are known, which are refused, and with which message."""

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
        path = tmp_path / kind
        path.mkdir()
        FORMATS[kind]().write(student_of(tmp_path / "source", "xlmr", "pieces"), path)
        return path

    return write


def edit(path: Path, **changes: object) -> None:
    write_json(path, {**read_json(path), **changes})


def test_each_layout_is_recognised_by_its_files(folder: Callable[[str], Path], xlmr: Path) -> None:
    assert recognise(xlmr).name == "hugging face"
    assert (recognise(xlmr).dim, recognise(xlmr).markers) == (None, {})
    pylate, colbert = recognise(folder("pylate")), recognise(folder("colbert"))
    assert (pylate.name, pylate.dim, pylate.markers) == ("pylate", 8, {"query": "[Q] ", "document": "[D] "})
    assert (colbert.name, colbert.dim, colbert.prefix) == ("colbert", 8, "roberta.")
    assert colbert.markers == {"query": "[Q]", "document": "[D]"}


def test_a_pooled_sentence_model_is_a_plain_encoder(folder: Callable[[str], Path]) -> None:
    path = folder("pylate")
    modules = read_json(path / "modules.json")
    pooling = {"idx": 2, "name": "2", "path": "2_Pooling", "type": "sentence_transformers.models.Pooling"}
    write_json(path / "modules.json", [*modules, pooling])
    assert recognise(path).name == "hugging face"


def test_two_projections_become_one_matrix(folder: Callable[[str], Path]) -> None:
    path = folder("pylate")
    shutil.copytree(path / "1_Dense", path / "2_Dense")
    second = torch.randn(4, 8)
    save_file({"linear.weight": second}, path / "2_Dense" / "model.safetensors")
    modules = read_json(path / "modules.json")
    write_json(path / "modules.json", [*modules, {**modules[1], "idx": 2, "path": "2_Dense"}])
    layout = recognise(path)
    first = load_file(path / "1_Dense" / "model.safetensors")["linear.weight"]
    weight = layout.projection_weight()
    assert weight is not None
    assert layout.dim == 4
    assert torch.allclose(weight, second @ first)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"bias": True}, "bias True"), ({"activation_function": "torch.nn.modules.activation.Tanh"}, "activation .*Tanh")],
)
def test_a_projection_that_is_more_than_linear_is_refused(
    folder: Callable[[str], Path], change: dict[str, object], message: str
) -> None:
    path = folder("pylate")
    edit(path / "1_Dense" / "config.json", **change)
    with pytest.raises(InputError, match=f"1_Dense is not a linear projection .*{message}"):
        recognise(path)


def test_the_message_for_an_unknown_folder_lists_its_files_and_the_known_layouts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError) as caught:
        recognise(tmp_path)
    for words in ("notes.txt", "PyLate folder", "Stanford ColBERT", "PLAID-X", "Hugging Face encoder"):
        assert words in str(caught.value)


def test_a_decoder_is_refused(xlmr: Path, tmp_path: Path) -> None:
    path = tmp_path / "decoder"
    shutil.copytree(xlmr, path)
    save_file({"model.embed_tokens.weight": torch.zeros(4, 2)}, path / "model.safetensors")
    edit(path / "config.json", model_type="llama")
    with pytest.raises(InputError, match=r"not an encoder like BERT or XLM-R \(got llama"):
        recognise(path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "colbert-400000.dnn", "model.pt"])
def test_pickled_weights_are_refused_with_the_reason(xlmr: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "pickled"
    shutil.copytree(xlmr, path)
    (path / "model.safetensors").unlink()
    torch.save({}, path / name)
    with pytest.raises(InputError, match=f"only pickled weights .got {name}.*runs the code in it"):
        recognise(path)


def test_code_in_the_folder_is_never_run(xlmr: Path, tmp_path: Path) -> None:
    path = tmp_path / "remote"
    shutil.copytree(xlmr, path)
    (path / "evil.py").write_text("raise SystemExit('was run')")
    edit(path / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModel": "evil.M"})
    config = PretrainedEncoder(checkpoint=str(path))
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    with pytest.raises(InputError, match="never run"):
        config.build(tokenizer)


def change_weights(path: Path, change: Callable[[torch.Tensor], torch.Tensor], ending: str) -> tuple[int, ...]:
    """Change the tensor whose name has this ending, and return its new shape."""
    weights = load_file(path / "model.safetensors")
    name = next(name for name in weights if name.endswith(ending))
    weights[name] = change(weights[name]).clone()
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return tuple(weights[name].shape)


@pytest.mark.parametrize("more", [-10, 500])
def test_a_tokenizer_with_another_number_of_pieces_is_refused(xlmr: Path, tmp_path: Path, more: int) -> None:
    path = tmp_path / "mixed"
    shutil.copytree(xlmr, path)
    pieces = read_json(path / "config.json")["vocab_size"]
    rows = pieces + more
    change_weights(path, lambda table: torch.cat([table, torch.zeros(500, 24)])[:rows], "word_embeddings.weight")
    edit(path / "config.json", vocab_size=rows)
    with pytest.raises(InputError, match=f"has {pieces} pieces, the embedding table {rows} rows"):
        PretrainedEncoder(checkpoint=str(path)).tokenizer()


@pytest.mark.parametrize(("name", "value"), [("vocab_size", 70), ("hidden_size", 48), ("embedding_size", 12)])
def test_a_configuration_that_does_not_fit_the_embedding_table_is_refused(
    xlmr: Path, tmp_path: Path, name: str, value: int
) -> None:
    path = tmp_path / "mixed"
    shutil.copytree(xlmr, path)
    rows = read_json(path / "config.json")["vocab_size"]
    edit(path / "config.json", **{name: value})
    with pytest.raises(InputError, match=f"has {name} {value}, but .* has {rows} rows of 24 numbers"):
        PretrainedEncoder(checkpoint=str(path)).width()


def test_weights_that_do_not_fit_the_configuration_are_refused(xlmr: Path, tmp_path: Path) -> None:
    path = tmp_path / "shapes"
    shutil.copytree(xlmr, path)
    edit(path / "config.json", intermediate_size=40)
    config = PretrainedEncoder(checkpoint=str(path))
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    with pytest.raises(InputError, match=r"do not fit its config\.json: size mismatch for .*intermediate.* and 2 more"):
        config.build(tokenizer)


@pytest.mark.parametrize(
    ("kind", "name", "content", "message"),
    [
        ("pylate", "modules.json", [{"path": "1_Dense"}], "expected idx, path and type"),
        ("pylate", "modules.json", [1], "got 1, expected idx, path and type"),
        ("pylate", "modules.json", {}, "got dict, expected a list of modules"),
        ("pylate", "config.json", [], "config.json: wrong JSON .got list, expected an object"),
        ("pylate", "1_Dense/config.json", "x", "got str, expected an object"),
        ("pylate", "config_sentence_transformers.json", [], "got list, expected an object"),
        ("pylate", "encoder.json", [], "encoder.json: wrong JSON .got list, expected an object"),
        ("colbert", "artifact.metadata", [], "artifact.metadata: wrong JSON .got list, expected an object"),
    ],
)
def test_json_of_another_shape_is_refused(
    folder: Callable[[str], Path], kind: str, name: str, content: object, message: str
) -> None:
    path = folder(kind)
    write_json(path / name, content)
    with pytest.raises(InputError, match=message):
        recognise(path)


def test_modules_without_an_index_keep_their_order(folder: Callable[[str], Path]) -> None:
    path = folder("pylate")
    modules = read_json(path / "modules.json")
    write_json(path / "modules.json", [{key: module[key] for key in ("path", "type")} for module in modules])
    assert recognise(path).dim == 8


def test_the_message_for_an_incomplete_dense_module_names_what_is_missing(folder: Callable[[str], Path]) -> None:
    path = folder("pylate")
    weights = path / "1_Dense" / "model.safetensors"
    save_file({"other": torch.zeros(2, 2)}, weights)
    with pytest.raises(InputError, match=r"1_Dense has no \*\.safetensors with linear\.weight"):
        recognise(path)
    save_file({"linear.weight": torch.zeros(8, 23)}, weights)
    with pytest.raises(InputError, match=r"1_Dense does not fit the encoder .got input width 23, expected 24"):
        recognise(path)
    weights.unlink()
    torch.save({}, path / "1_Dense" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"1_Dense.*only pickled weights \(got pytorch_model\.bin.*runs"):
        recognise(path)
    shutil.rmtree(path / "1_Dense")
    with pytest.raises(InputError, match=r"modules\.json names 1_Dense, but 1_Dense/config\.json is missing"):
        recognise(path)


def test_nested_settings_of_plaid_x_are_read(folder: Callable[[str], Path]) -> None:
    path = folder("colbert")
    write_json(path / "artifact.metadata", {"config": read_json(path / "artifact.metadata"), "version": 1})
    assert recognise(path).markers == {"query": "[Q]", "document": "[D]"}


def test_markers_that_are_not_used_need_not_be_pieces(folder: Callable[[str], Path]) -> None:
    path = folder("colbert")
    edit(path / "artifact.metadata", query_token_id="[unused0]")
    with pytest.raises(InputError, match=r"marker '\[unused0\]' is not a piece"):
        PretrainedEncoder(checkpoint=str(path)).tokenizer()
    bare = PretrainedEncoder(checkpoint=str(path), markers=False).tokenizer()
    assert bare is not None
    assert not bare.markers


def test_missing_tensors_are_refused(xlmr: Path, tmp_path: Path) -> None:
    path = tmp_path / "half"
    shutil.copytree(xlmr, path)
    weights = {name: value for name, value in load_file(path / "model.safetensors").items() if "query" not in name}
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    config = PretrainedEncoder(checkpoint=str(path))
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    with pytest.raises(InputError, match=r"tensors are missing, e\.g\. .*query"):
        config.build(tokenizer)


def test_a_dim_other_than_the_folder_s_is_refused(folder: Callable[[str], Path]) -> None:
    path = str(folder("colbert"))
    assert PretrainedEncoder(checkpoint=path).width() == PretrainedEncoder(checkpoint=path, dim=8).width() == 8
    with pytest.raises(InputError, match=r"^dim: the checkpoint \(layout: colbert\) .*got 16, expected 8"):
        PretrainedEncoder(checkpoint=path, dim=16).width()


def test_the_identity_covers_the_projection_and_not_the_readme(folder: Callable[[str], Path]) -> None:
    path = folder("pylate")
    before = PretrainedEncoder(checkpoint=str(path)).identity()
    (path / "README.md").write_text("another card")
    assert PretrainedEncoder(checkpoint=str(path)).identity() == before
    save_file({"linear.weight": torch.zeros(8, 24)}, path / "1_Dense" / "model.safetensors")
    assert PretrainedEncoder(checkpoint=str(path)).identity() != before


def test_newer_options_do_not_change_the_identity_by_default(xlmr: Path) -> None:
    identity = PretrainedEncoder(checkpoint=str(xlmr)).identity()
    assert set(identity) == {
        "kind", "checkpoint", "dim", "markers", "query_length", "document_length", "dropout", "seed",
    }  # fmt: skip
    assert PretrainedEncoder(checkpoint=str(xlmr), layers=1).identity()["layers"] == 1
    assert json.dumps(identity)
