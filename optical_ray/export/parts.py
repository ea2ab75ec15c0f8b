"""The files that formats share: the encoder's weights and configuration, and its tokenizer."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from optical_ray.encoders.checkpoint_files import CONFIG, MODEL, TOKENIZER
from optical_ray.encoders.layouts import IDENTITY, LINEAR, TABLES
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.export.interface import Student
from optical_ray.study.files import write_json

NAMES = {
    "cls_token": ("<s>", "[CLS]"), "sep_token": ("</s>", "[SEP]"), "pad_token": ("<pad>", "[PAD]"),
    "unk_token": ("<unk>", "[UNK]"), "mask_token": ("<mask>", "[MASK]"),
    "bos_token": ("<s>", "[CLS]"), "eos_token": ("</s>", "[SEP]"),
}  # fmt: skip


def backbone_weights(student: Student, prefix: str = "") -> dict[str, Tensor]:
    """The encoder's tensors in float32, with one embedding row for each piece of the tokenizer."""
    size = student.tokenizer.size
    tensors = student.encoder.backbone.state_dict()
    cut = {name: value[:size] if name.endswith(TABLES) else value for name, value in tensors.items()}
    rows = next(len(value) for name, value in cut.items() if name.endswith(TABLES))
    assert rows == size, f"{rows} embedding rows for {size} pieces"
    return {prefix + name: value.detach().float().contiguous() for name, value in cut.items()}


def projection_weight(encoder: TokenEncoder) -> Float[Tensor, "D H"]:
    """The projection's matrix, or the identity if the student has no projection."""
    return torch.eye(encoder.dim) if encoder.projection is None else encoder.projection.weight.detach().float()


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file with the metadata that transformers expects."""
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, path, metadata={"format": "pt"})


def write_config(student: Student, folder: Path, architecture: str | None = None) -> None:
    """Write ``config.json`` with the vocabulary's size and the class of the model."""
    config: Any = copy.deepcopy(student.encoder.backbone.config)
    config.vocab_size = student.tokenizer.size
    config.architectures = [architecture or type(student.encoder.backbone).__name__]
    config.dtype = "float32"
    config.save_pretrained(folder)


def write_dense(student: Student, folder: Path) -> None:
    """Write the projection as a Dense module of sentence-transformers and PyLate."""
    folder.mkdir()
    weight = projection_weight(student.encoder)
    write_weights(folder / MODEL, {LINEAR: weight})
    config = {
        "in_features": weight.shape[1], "out_features": weight.shape[0], "bias": False, "activation_function": IDENTITY,
    }  # fmt: skip
    write_json(folder / CONFIG, config)


def write_tokenizer(tokenizer: PieceTokenizer, folder: Path, max_length: int, names: Mapping[str, str]) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` for transformers 4 and 5.

    ``names`` maps marker pieces to new names. The tokenizer turns a text into ``<s> pieces </s>``; the other program
    inserts the marker after the first piece.
    """
    content = json.loads(tokenizer.backend.to_str())
    content["post_processor"] = _template(tokenizer)
    for token in content["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    vocabulary = content["model"]["vocab"]
    if isinstance(vocabulary, dict):
        content["model"]["vocab"] = {names.get(piece, piece): index for piece, index in vocabulary.items()}
    else:
        content["model"]["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    (folder / TOKENIZER).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    specials = {
        role: next((name for name in choices if tokenizer.backend.token_to_id(name) is not None), None)
        for role, choices in NAMES.items()
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **{role: name for role, name in specials.items() if name is not None},
    }
    write_json(folder / "tokenizer_config.json", config)


def _template(tokenizer: PieceTokenizer) -> dict[str, Any]:
    pieces = {index: str(tokenizer.backend.id_to_token(index)) for index in (tokenizer.cls, tokenizer.sep)}
    start, end = ({"SpecialToken": {"id": pieces[index], "type_id": 0}} for index in (tokenizer.cls, tokenizer.sep))
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "type": "TemplateProcessing",
        "single": [start, first, end],
        "pair": [start, first, end, second, end],
        "special_tokens": {piece: {"id": piece, "ids": [index], "tokens": [piece]} for index, piece in pieces.items()},
    }
