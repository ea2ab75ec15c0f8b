"""The content of exported folders, and that reading them gives equal vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from optical_ray.encoders.layouts import recognise
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.export.interface import Format, Student
from optical_ray.registry import members
from optical_ray.study.files import read_json
from optical_ray.types import InputError
from tests.export.students import embeddings, student_of, texts

FORMATS = members("optical_ray.export", Format)  # type: ignore[type-abstract]


def written(student: Student, kind: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    FORMATS[kind]().write(student, folder)
    return folder


def test_the_formats_of_the_command_line_exist() -> None:
    assert set(FORMATS) == {"pylate", "colbert", "hf"}


@pytest.mark.parametrize("kind", FORMATS)
def test_weights_are_safetensors_with_one_row_per_piece(student: Student, kind: str, tmp_path: Path) -> None:
    folder = written(student, kind, tmp_path / "out")
    assert not [path for path in folder.rglob("*") if path.suffix in {".bin", ".pt", ".pkl"}]
    tables = {
        name: len(value)
        for name, value in load_file(folder / "model.safetensors").items()
        if name.endswith("word_embeddings.weight")
    }
    assert list(tables.values()) == [len(AutoTokenizer.from_pretrained(folder))]
    assert read_json(folder / "config.json")["vocab_size"] == student.tokenizer.size
    with safe_open(folder / "model.safetensors", framework="pt") as stream:
        assert stream.metadata() == {"format": "pt"}


@pytest.mark.parametrize("kind", FORMATS)
def test_an_exported_folder_is_read_with_equal_vectors(student: Student, kind: str, tmp_path: Path) -> None:
    folder = written(student, kind, tmp_path / "out")
    conventions = student.encoder.conventions
    config = PretrainedEncoder(
        checkpoint=str(folder), query_length=student.query_length, document_length=student.document_length,
        support=conventions.support, skip_punctuation=conventions.skip_punctuation,
        query_expansion=conventions.query_expansion,
    )  # fmt: skip
    assert recognise(folder).name == ("colbert" if kind == "colbert" else "pylate")
    assert config.width() == student.encoder.dim
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    assert tokenizer.markers == student.tokenizer.markers
    again = Student(config.build(tokenizer).eval(), tokenizer, student.query_length, student.document_length)
    for before, after in zip(embeddings(student, texts()), embeddings(again, texts()), strict=True):
        assert torch.equal(before.mask, after.mask)
        assert torch.allclose(before.vectors, after.vectors, atol=1e-6)


def test_transformers_computes_the_same_pieces_and_vectors(plain: Student, tmp_path: Path) -> None:
    folder = written(plain, "hf", tmp_path / "out")
    [ids] = plain.tokenizer.encode(["ndege mdogo anaimba, bustanini"], "query", 16).ids
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "[Q] ndege mdogo anaimba, bustanini"
    assert tokenizer(text, truncation=True, max_length=16)["input_ids"] == ids
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(torch.tensor([ids])).last_hidden_state
        vectors = hidden @ load_file(folder / "1_Dense" / "model.safetensors")["linear.weight"].T
        expected = plain.encoder(torch.tensor([ids]))
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    assert torch.allclose(vectors[expected.mask], expected.vectors[expected.mask], atol=1e-6)


def test_a_pylate_folder_has_the_settings_of_pylate(plain: Student, tmp_path: Path) -> None:
    folder = written(plain, "pylate", tmp_path / "out")
    assert [module["type"] for module in read_json(folder / "modules.json")] == [
        "sentence_transformers.models.Transformer",
        "pylate.models.Dense.Dense",
    ]
    config = read_json(folder / "config_sentence_transformers.json")
    assert (config["model_type"], config["similarity_fn_name"]) == ("ColBERT", "MaxSim")
    assert (config["query_prefix"], config["document_prefix"]) == ("[Q] ", "[D] ")
    assert (config["query_length"], config["document_length"]) == (16, 24)
    assert set(config["skiplist_words"]) == {"<s>", "</s>", "[Q] ", "[D] "}
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert None not in {backend.token_to_id(word) for word in config["skiplist_words"]}
    dense = read_json(folder / "1_Dense" / "config.json")
    assert dense["use_residual"] is dense["bias"] is False
    assert (dense["in_features"], dense["out_features"]) == (24, 8)


def test_a_colbert_folder_has_the_settings_of_colbert(plain: Student, tmp_path: Path) -> None:
    folder = written(plain, "colbert", tmp_path / "out")
    assert read_json(folder / "config.json")["architectures"] == ["HF_ColBERT"]
    metadata = json.loads((folder / "artifact.metadata").read_text())
    assert (metadata["query_token_id"], metadata["doc_token_id"], metadata["dim"]) == ("[Q]", "[D]", 8)
    assert (metadata["query_maxlen"], metadata["doc_maxlen"], metadata["similarity"]) == (16, 24, "cosine")
    names = set(load_file(folder / "model.safetensors"))
    assert "linear.weight" in names
    assert {name.partition(".")[0] for name in names} == {"roberta", "linear"}


def test_colbert_refuses_a_student_without_markers(plain: Student, tmp_path: Path) -> None:
    bare = Student(
        plain.encoder, PretrainedEncoder(checkpoint=str(tmp_path / "xlmr"), markers=False).tokenizer(), 16, 24
    )  # type: ignore[arg-type]
    with pytest.raises(InputError, match="markers"):
        written(bare, "colbert", tmp_path / "out")


def test_differences_of_scores_are_listed(tmp_path: Path) -> None:
    differences = {
        (kind, name): FORMATS[kind]().differences(student_of(tmp_path / name, "bert", name))
        for kind in FORMATS
        for name in ("pieces", "all", "stanford")
    }
    assert not any(differences["hf", name] for name in ("pieces", "all", "stanford"))
    assert "support: pieces" in differences["pylate", "pieces"][0]
    assert not differences["pylate", "all"]
    assert not differences["pylate", "stanford"]
    assert len(differences["colbert", "pieces"]) == 3
    assert len(differences["colbert", "all"]) == 1
    assert not differences["colbert", "stanford"]
