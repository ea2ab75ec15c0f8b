"""Export for PyLate: a sentence-transformers model of a Transformer and PyLate's Dense module.

Source: PyLate 1.6.0, ``pylate/models/colbert.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.encoders.checkpoint_files import CONFIG, MODEL
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

    PyLate skips the pieces of a list in documents; with ``support: pieces`` the list contains the special pieces. It
    skips nothing in queries.
    """

    kind: Literal["pylate"] = "pylate"

    library = "PyLate"

    def write(self, student: Student, folder: Path) -> None:
        """Write modules, weights, tokenizer and configuration."""
        tokenizer = student.tokenizer
        names = _names(student)
        write_weights(folder / MODEL, backbone_weights(student))
        write_config(student, folder)
        write_tokenizer(tokenizer, folder, max(student.query_length, student.document_length), names)
        write_dense(student, folder / "1_Dense")
        dense = folder / "1_Dense" / CONFIG
        write_json(dense, {**read_json(dense), "use_residual": False})
        write_json(folder / "modules.json", MODULES)
        longest = {"max_seq_length": student.document_length - bool(tokenizer.markers), "do_lower_case": False}
        write_json(folder / "sentence_bert_config.json", longest)
        spellings = {role: names.get(piece, piece) for role, piece in tokenizer.marker_pieces.items()}
        conventions = student.encoder.conventions
        config: dict[str, Any] = {
            "model_type": "ColBERT",
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "MaxSim",
            "query_prefix": spellings.get("query", ""),
            "document_prefix": spellings.get("document", ""),
            "query_length": student.query_length,
            "document_length": student.document_length,
            "attend_to_expansion_tokens": False,
            "skiplist_words": [names.get(piece, piece) for piece in _skipped(student)],
            "do_query_expansion": conventions.query_expansion,
        }
        write_json(folder / "config_sentence_transformers.json", config)

    def differences(self, student: Student) -> tuple[str, ...]:
        """PyLate uses the vector of every token of a query."""
        if student.encoder.conventions.support == "all":
            return ()
        return (
            "PyLate uses the vectors of a query's sentence ends and marker, this program does not (support: pieces); "
            "scores are equal with --format hf, and for an encoder with support: all",
        )

    def usage(self, student: Student) -> str:
        """Load the folder and encode texts."""
        return (
            "from pylate import models\n\n"
            'model = models.ColBERT("path/to/this/folder")\n'
            'queries = model.encode(["a query"], is_query=True)\n'
            'documents = model.encode(["a document"], is_query=False)\n'
        )


def _names(student: Student) -> dict[str, str]:
    """New names of markers: PyLate's include the space after them."""
    spellings = student.tokenizer.marker_pieces
    return {piece: f"{piece} " for role, piece in MARKERS.items() if spellings.get(role) == piece}


def _skipped(student: Student) -> list[str]:
    """Pieces without a vector in documents, as the vocabulary spells them."""
    tokenizer, conventions = student.tokenizer, student.encoder.conventions
    skipped: set[int] = set()
    if conventions.support == "pieces":
        skipped |= tokenizer.specials - {tokenizer.pad}
    if conventions.skip_punctuation:
        skipped |= punctuation(tokenizer.backend)
    return [str(tokenizer.backend.id_to_token(index)) for index in sorted(skipped)]
