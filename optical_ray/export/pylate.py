"""The folder that PyLate loads: a sentence-transformers model of a Transformer and PyLate's Dense module.

Source: PyLate 1.6.0, ``pylate/models/colbert.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.encoders.conventions import punctuation
from optical_ray.encoders.tokenizer import MARKERS
from optical_ray.export.interface import Format, Student
from optical_ray.export.parts import backbone_weights, write_config, write_dense, write_tokenizer, write_weights
from optical_ray.study.files import read_json, write_json

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
]


@dataclass(frozen=True)
class PyLate(Format):
    """A PyLate folder.

    PyLate drops the tokens of a skip-list from documents, sentence ends and marker among them where this program
    does; from queries it drops none.
    """

    kind: Literal["pylate"] = "pylate"

    def write(self, student: Student, folder: Path) -> None:
        """Write modules, weights, tokenizer and configuration."""
        tokenizer = student.tokenizer
        names = _names(student)
        write_weights(folder / "model.safetensors", backbone_weights(student))
        write_config(student, folder)
        write_tokenizer(tokenizer, folder, max(student.query_length, student.document_length), names)
        write_dense(student, folder / "1_Dense")
        dense = folder / "1_Dense" / "config.json"
        write_json(dense, {**read_json(dense), "use_residual": False})
        write_json(folder / "modules.json", MODULES)
        longest = {"max_seq_length": student.document_length - bool(tokenizer.markers), "do_lower_case": False}
        write_json(folder / "sentence_bert_config.json", longest)
        written = {role: names.get(piece, piece) for role, piece in tokenizer.marker_pieces.items()}
        conventions = student.encoder.conventions
        config: dict[str, Any] = {
            "model_type": "ColBERT",
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "MaxSim",
            "query_prefix": written.get("query", ""),
            "document_prefix": written.get("document", ""),
            "query_length": student.query_length,
            "document_length": student.document_length,
            "attend_to_expansion_tokens": False,
            "skiplist_words": [names.get(piece, piece) for piece in _skipped(student)],
            "do_query_expansion": conventions.query_expansion,
        }
        write_json(folder / "config_sentence_transformers.json", config)

    def differences(self, student: Student) -> tuple[str, ...]:
        """PyLate counts every token of a query."""
        if student.encoder.conventions.support == "all":
            return ()
        return (
            "the vectors of a query's sentence ends and marker count in PyLate, and do not here (support: pieces), so "
            "scores differ by their best matches; --format hf scores as this program does, and an encoder with "
            "support: all scores alike in both",
        )

    def usage(self, student: Student) -> str:
        """Loading and encoding."""
        return (
            "from pylate import models\n\n"
            'model = models.ColBERT("path/of/this/folder")\n'
            'queries = model.encode(["a query"], is_query=True)\n'
            'documents = model.encode(["a document"], is_query=False)\n'
        )


def _names(student: Student) -> dict[str, str]:
    """PyLate writes a marker with the space behind it."""
    written = student.tokenizer.marker_pieces
    return {piece: f"{piece} " for role, piece in MARKERS.items() if written.get(role) == piece}


def _skipped(student: Student) -> list[str]:
    """Pieces that give no vector in a document, as the vocabulary writes them."""
    tokenizer, conventions = student.tokenizer, student.encoder.conventions
    skipped: set[int] = set()
    if conventions.support == "pieces":
        skipped |= tokenizer.specials - {tokenizer.pad}
    if conventions.skip_punctuation:
        skipped |= punctuation(tokenizer.backend)
    return [str(tokenizer.backend.id_to_token(index)) for index in sorted(skipped)]
