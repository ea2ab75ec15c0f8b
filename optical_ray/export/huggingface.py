"""A Hugging Face folder: transformers loads it as an encoder, sentence-transformers from 6 on as a retriever.

Source: sentence-transformers 6.2.0, ``MultiVectorEncoder`` and ``MultiVectorMask``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.encoders.conventions import punctuation
from optical_ray.export.interface import Format, Student
from optical_ray.export.parts import backbone_weights, write_config, write_dense, write_tokenizer, write_weights
from optical_ray.study.files import read_json, write_json

TOKENS = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}


@dataclass(frozen=True)
class HuggingFace(Format):
    """A folder for transformers and sentence-transformers >= 6."""

    kind: Literal["hf"] = "hf"

    def write(self, student: Student, folder: Path) -> None:
        """Write weights, tokenizer and the modules that make vectors of its last layer."""
        tokenizer, expands = student.tokenizer, student.encoder.conventions.query_expansion
        write_weights(folder / "model.safetensors", backbone_weights(student))
        write_config(student, folder)
        write_tokenizer(tokenizer, folder, max(student.query_length, student.document_length), {})
        modules = ["base.modules.transformer.Transformer", "base.modules.dense.Dense"]
        write_dense(student, folder / "1_Dense")
        write_json(folder / "1_Dense" / "config.json", {**read_json(folder / "1_Dense" / "config.json"), **TOKENS})
        for mask in _masks(student):
            _module(folder, modules, "multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask", mask)
        _module(folder, modules, "base.modules.normalize.Normalize", TOKENS)
        listed = [
            {
                "idx": index, "name": str(index), "path": f"{index}_{name.rpartition('.')[2]}" if index else "",
                "type": f"sentence_transformers.{name}",
            }
            for index, name in enumerate(modules)
        ]  # fmt: skip
        write_json(folder / "modules.json", listed)
        expansion = {"strategy": "fixed", "attend": False, "length": student.query_length} if expands else None
        transformer = {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
            "query_length": student.query_length,
            "document_length": student.document_length,
            "query_expansion": expansion,
        }
        write_json(folder / "sentence_bert_config.json", transformer)
        prompts = {role: f"{piece} " for role, piece in tokenizer.marker_pieces.items()}
        config = {
            "model_type": "MultiVectorEncoder",
            "prompts": prompts or {"query": "", "document": ""},
            "default_prompt_name": None,
            "similarity_fn_name": "maxsim",
        }
        write_json(folder / "config_sentence_transformers.json", config)

    def differences(self, student: Student) -> tuple[str, ...]:
        """None: its masks say which tokens count on either side."""
        return ()

    def usage(self, student: Student) -> str:
        """Loading and encoding."""
        return (
            "from sentence_transformers import MultiVectorEncoder  # >= 6\n\n"
            'model = MultiVectorEncoder("path/of/this/folder")\n'
            'scores = model.similarity(model.encode_query(["a query"]), model.encode_document(["a document"]))\n'
        )


def _module(folder: Path, modules: list[str], name: str, config: dict[str, Any]) -> None:
    """A module without weights, the next in the list."""
    place = folder / f"{len(modules)}_{name.rpartition('.')[2]}"
    place.mkdir()
    write_json(place / "config.json", config)
    modules.append(name)


def _masks(student: Student) -> list[dict[str, Any]]:
    """What gives no vector: sentence ends and markers on both sides, punctuation in documents."""
    tokenizer, conventions = student.tokenizer, student.encoder.conventions
    specials = tokenizer.specials - {tokenizer.pad} if conventions.support == "pieces" else frozenset()
    signs = punctuation(tokenizer.backend) if conventions.skip_punctuation else frozenset()
    masks = [(specials, ["query", "document"])] + [(signs, ["document"])] * bool(signs)
    return [
        {
            "skiplist_words": [str(tokenizer.backend.id_to_token(index)) for index in sorted(skipped)],
            "skiplist_tasks": tasks,
            "keep_only_token_ids": None,
        }
        for skipped, tasks in masks
    ]
