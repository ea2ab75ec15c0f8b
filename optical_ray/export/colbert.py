"""The folder that Stanford's ColBERT and PLAID-X load: an ``HF_ColBERT`` and its ``artifact.metadata``.

Source: colbert-ai 0.2.22, ``colbert/modeling``; PLAID-X, github.com/hltcoe/ColBERT-X.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from optical_ray.encoders.conventions import punctuation
from optical_ray.export.interface import Format, Student
from optical_ray.export.parts import backbone_weights, projection_weight, write_config, write_tokenizer, write_weights
from optical_ray.study.files import write_json
from optical_ray.types import InputError

FAMILIES = {"xlm-roberta": ("roberta", "xlm-roberta-base"), "bert": ("bert", "bert-base-multilingual-uncased")}
"""Model type -> prefix of the encoder's tensors, and a model of that type by which the programs know the class."""


@dataclass(frozen=True)
class ColBERT(Format):
    """A Stanford ColBERT or PLAID-X folder."""

    kind: Literal["colbert"] = "colbert"

    def write(self, student: Student, folder: Path) -> None:
        """Write weights, tokenizer and metadata; raises ``InputError`` for an encoder without markers."""
        family = _family(student)
        markers = student.tokenizer.marker_pieces
        if not markers:
            raise InputError(
                "--format colbert: it puts markers into every text, and this student has none; use pylate or hf"
            )
        tensors = backbone_weights(student, prefix=f"{family[0]}.")
        write_weights(folder / "model.safetensors", {**tensors, "linear.weight": projection_weight(student.encoder)})
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
            "mask_punctuation": True,  # colbert-ai 0.2.22 cannot read a document where it is off
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
        """Specials and masks always count, punctuation in documents never does."""
        conventions = student.encoder.conventions
        found = []
        if conventions.support != "all":
            found.append("the vectors of sentence ends and markers count there, and do not here (support: pieces)")
        if not conventions.query_expansion:
            found.append(
                "queries are padded with mask pieces that count there, and are not here (query_expansion: false)"
            )
        theirs, ours = skipped_pieces(student)
        if theirs != ours:
            found.append(
                f"{len(theirs)} pieces that begin a punctuation sign give no vector in documents there, "
                f"{len(ours)} punctuation pieces here (skip_punctuation: {str(conventions.skip_punctuation).lower()})"
            )
        return tuple(found)

    def usage(self, student: Student) -> str:
        """Loading and encoding."""
        return (
            "from colbert.infra import ColBERTConfig\n"
            "from colbert.modeling.checkpoint import Checkpoint\n\n"
            'folder = "path/of/this/folder"\n'
            "model = Checkpoint(folder, colbert_config=ColBERTConfig(model_name=folder))\n"
            'queries = model.queryFromText(["a query"])\n'
            'documents = model.docFromText(["a document"], keep_dims=False)\n'
        )


def skipped_pieces(student: Student) -> tuple[frozenset[int], frozenset[int]]:
    """Ids that give no vector in documents there (the first piece of every punctuation sign), and here."""
    backend = student.tokenizer.backend
    theirs = frozenset(backend.encode(sign, add_special_tokens=False).ids[0] for sign in string.punctuation)
    return theirs, punctuation(backend) if student.encoder.conventions.skip_punctuation else frozenset()


def _family(student: Student) -> tuple[str, str]:
    config: Any = student.encoder.backbone.config
    if config.model_type not in FAMILIES:
        raise InputError(
            f"--format colbert: encoders of type {', '.join(FAMILIES)} can be written, "
            f"this is {config.model_type}; use --format hf"
        )
    return FAMILIES[config.model_type]
