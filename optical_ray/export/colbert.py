"""Export for Stanford's ColBERT and PLAID-X: the weights of an ``HF_ColBERT`` and ``artifact.metadata``.

Source: colbert-ai 0.2.22, ``colbert/modeling``; PLAID-X, github.com/hltcoe/ColBERT-X.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.encoders.checkpoint_files import MODEL
from optical_ray.encoders.conventions import punctuation
from optical_ray.encoders.layouts import LINEAR
from optical_ray.export.interface import Format, Student
from optical_ray.export.parts import backbone_weights, projection_weight, write_config, write_tokenizer, write_weights
from optical_ray.study.files import write_json
from optical_ray.types import InputError

FAMILIES = {"xlm-roberta": ("roberta", "xlm-roberta-base"), "bert": ("bert", "bert-base-multilingual-uncased")}
"""Model type -> prefix of the encoder's tensors, and the model name from which both programs derive the class."""


@dataclass(frozen=True)
class ColBERT(Format):
    """A Stanford ColBERT or PLAID-X folder."""

    kind: Literal["colbert"] = "colbert"

    library = "colbert"

    def write(self, student: Student, folder: Path) -> None:
        """Write weights, tokenizer and metadata; raises ``InputError`` if the encoder has no markers."""
        family = _family(student)
        markers = student.tokenizer.marker_pieces
        if not markers:
            raise InputError(
                "--format colbert: needs markers, because ColBERT inserts them into every text, and this student has "
                "none. Use --format pylate or hf."
            )
        tensors = backbone_weights(student, prefix=f"{family[0]}.")
        write_weights(folder / MODEL, {**tensors, LINEAR: projection_weight(student.encoder)})
        write_config(student, folder, "HF_ColBERT")
        write_tokenizer(student.tokenizer, folder, max(student.query_length, student.document_length), {})
        metadata: dict[str, Any] = {
            "query_token_id": markers["query"],
            "doc_token_id": markers["document"],
            "query_token": markers["query"],
            "doc_token": markers["document"],
            "dim": student.encoder.dim,
            "query_maxlen": student.query_length,
            "doc_maxlen": student.document_length,
            "mask_punctuation": True,  # colbert-ai 0.2.22 cannot encode documents without it
            "attend_to_mask_tokens": False,
            "similarity": "cosine",
            "interaction": "colbert",
            "model_name": family[1],
            "checkpoint": None,
            "nbits": 2,
            "meta": {"exported_by": "optical_ray"},
        }
        write_json(folder / "artifact.metadata", metadata)

    def differences(self, student: Student) -> tuple[str, ...]:
        """ColBERT always uses the vectors of special pieces and masks, and never those of punctuation in documents."""
        conventions = student.encoder.conventions
        differences = []
        if conventions.support != "all":
            differences.append(
                "ColBERT uses the vectors of sentence ends and markers, this program does not (support: pieces)"
            )
        if not conventions.query_expansion:
            differences.append(
                "ColBERT pads queries with mask pieces and uses their vectors, this program does not "
                "(query_expansion: false)"
            )
        theirs, ours = skipped_pieces(student)
        if theirs != ours:
            differences.append(
                f"ColBERT skips {len(theirs)} pieces in documents, the first of every punctuation sign; this program "
                f"skips {len(ours)} punctuation pieces (skip_punctuation: {str(conventions.skip_punctuation).lower()})"
            )
        return tuple(differences)

    def usage(self, student: Student) -> str:
        """Load the folder and encode texts."""
        return (
            "from colbert.infra import ColBERTConfig\n"
            "from colbert.modeling.checkpoint import Checkpoint\n\n"
            'folder = "path/to/this/folder"\n'
            "model = Checkpoint(folder, colbert_config=ColBERTConfig(model_name=folder))\n"
            'queries = model.queryFromText(["a query"])\n'
            'documents = model.docFromText(["a document"], keep_dims=False)\n'
        )


def skipped_pieces(student: Student) -> tuple[frozenset[int], frozenset[int]]:
    """Ids that ColBERT skips in documents (the first piece of every punctuation sign), and those skipped here."""
    backend = student.tokenizer.backend
    theirs = frozenset(backend.encode(sign, add_special_tokens=False).ids[0] for sign in string.punctuation)
    return theirs, punctuation(backend) if student.encoder.conventions.skip_punctuation else frozenset()


def _family(student: Student) -> tuple[str, str]:
    config: Any = student.encoder.backbone.config
    if config.model_type not in FAMILIES:
        raise InputError(
            f"--format colbert: cannot write this encoder (got {config.model_type}, expected "
            f"{' or '.join(FAMILIES)}). Use --format hf."
        )
    return FAMILIES[config.model_type]
