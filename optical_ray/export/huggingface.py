"""Export for transformers, which loads the encoder, and sentence-transformers >= 6, which loads the retriever.

Source: sentence-transformers 6.2.0, ``MultiVectorEncoder`` and ``MultiVectorMask``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.encoders.checkpoint_files import CONFIG, MODEL
from optical_ray.encoders.conventions import punctuation
from optical_ray.export.interface import Format, Student
from optical_ray.export.parts import backbone_weights, write_config, write_dense, write_tokenizer, write_weights
from optical_ray.study.files import read_json, write_json

TOKENS = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}


@dataclass(frozen=True)
class HuggingFace(Format):
    """A folder for transformers and sentence-transformers >= 6."""

    kind: Literal["hf"] = "hf"

    library = "sentence-transformers"

    def write(self, student: Student, folder: Path) -> None:
        """Write weights, tokenizer and the modules that compute token vectors from the last layer."""
        tokenizer, expands = student.tokenizer, student.encoder.conventions.query_expansion
        write_weights(folder / MODEL, backbone_weights(student))
        write_config(student, folder)
        write_tokenizer(tokenizer, folder, max(student.query_length, student.document_length), {})
        modules = ["base.modules.transformer.Transformer", "base.modules.dense.Dense"]
        write_dense(student, folder / "1_Dense")
        write_json(folder / "1_Dense" / CONFIG, {**read_json(folder / "1_Dense" / CONFIG), **TOKENS})
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
        """Empty: masks select the same tokens in queries and documents."""
        return ()

    def usage(self, student: Student) -> str:
        """Load the folder and score a document."""
        return (
            "from sentence_transformers import MultiVectorEncoder  # >= 6\n\n"
            'model = MultiVectorEncoder("path/to/this/folder")\n'
            'scores = model.similarity(model.encode_query(["a query"]), model.encode_document(["a document"]))\n'
        )


def _module(folder: Path, modules: list[str], name: str, config: dict[str, Any]) -> None:
    """Add a module without weights to the list and write its configuration."""
    path = folder / f"{len(modules)}_{name.rpartition('.')[2]}"
    path.mkdir()
    write_json(path / CONFIG, config)
    modules.append(name)


def _masks(student: Student) -> list[dict[str, Any]]:
    """Pieces without a vector: special pieces in queries and documents, punctuation in documents."""
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
