"""Students and texts for the tests of exports, and how this program encodes them."""

from __future__ import annotations

import random
import string
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from optical_ray.encoders.conventions import WORD_START, Conventions
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import Encoded
from optical_ray.export.colbert import skipped_pieces
from optical_ray.export.interface import Student
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.training.batches import pad_ids
from tests.encoders.checkpoints import TEXTS, write_bert, write_xlmr

KINDS = {
    # signs after a space are separate pieces, as in XLM-R's vocabulary
    "xlmr": partial(write_xlmr, pieces=[f"{WORD_START}{sign}" for sign in string.punctuation]),
    "bert": write_bert,
}
CONVENTIONS: dict[str, dict[str, Any]] = {
    "pieces": {},
    "unprojected": {"dim": None},
    "punctuation": {"skip_punctuation": True},
    "all": {"support": "all", "skip_punctuation": True},
    "stanford": {"support": "all", "skip_punctuation": True, "query_expansion": True},
}
WORDS = " ".join(TEXTS).split()
SIGNS = ("", "", ",", ".", " -")


def student_of(folder: Path, kind: str, conventions: str) -> Student:
    settings = {"dim": 8, "query_length": 16, "document_length": 24, **CONVENTIONS[conventions]}
    checkpoint = KINDS[kind](folder / kind, texts=[*TEXTS, " ".join(string.punctuation)])
    config = PretrainedEncoder(checkpoint=str(checkpoint), **settings)
    tokenizer = config.tokenizer()
    assert tokenizer is not None
    return Student(config.build(tokenizer).eval(), tokenizer, config.query_length, config.document_length)


def texts(
    num_queries: int = 8, num_documents: int = 200, words: Sequence[str] = WORDS, signs: Sequence[str] = SIGNS
) -> dict[str, list[str]]:
    """Texts of known words with punctuation, shorter and longer than the limits."""
    generator = random.Random(3)

    def sentence(longest: int) -> str:
        chosen = generator.choices(words, k=generator.randint(1, longest))
        return " ".join(word + generator.choice(signs) for word in chosen)

    return {
        "queries": [sentence(6) for _ in range(num_queries)],
        "documents": [sentence(30) for _ in range(num_documents)],
    }


def plain_texts(students: Iterable[Student]) -> dict[str, list[str]]:
    """Texts in which Stanford's ColBERT and this program find the same punctuation."""

    def is_plain(word: str, student: Student) -> bool:
        theirs, ours = skipped_pieces(student)
        return not set(student.tokenizer.backend.encode(word, add_special_tokens=False).ids) & (theirs ^ ours)

    chosen = tuple(students)
    words = [word for word in WORDS if all(is_plain(word, student) for student in chosen)]
    return texts(words=words, signs=[""])


def reading_as(student: Student, conventions: Conventions) -> Student:
    """The same weights with other conventions."""
    encoder = student.encoder
    assert encoder.projection is None or isinstance(encoder.projection, torch.nn.Linear)
    other = TokenEncoder.from_tokenizer(encoder.backbone, encoder.projection, student.tokenizer, conventions).eval()
    return Student(other, student.tokenizer, student.query_length, student.document_length)


def skipping(student: Student, pieces: frozenset[int]) -> Student:
    """The same weights, without the vectors of ``pieces`` in documents."""
    encoder, tokenizer = student.encoder, student.tokenizer
    other = TokenEncoder(
        encoder.backbone, encoder.projection, pad=tokenizer.pad, specials=frozenset({tokenizer.pad}),
        conventions=encoder.conventions, signs=pieces, document_marker=tokenizer.markers["document"],
        mask=tokenizer.mask,
    )  # fmt: skip
    return Student(other.eval(), tokenizer, student.query_length, student.document_length)


@torch.inference_mode()
def embeddings(student: Student, sides: dict[str, list[str]]) -> tuple[TokenEmbeddings, TokenEmbeddings]:
    """Queries and documents as this program encodes them."""
    tokenizer = student.tokenizer
    queries = tokenizer.encode_queries(sides["queries"], student.query_length)
    documents = tokenizer.encode(sides["documents"], "document", student.document_length)

    def encode(encoded: Encoded) -> TokenEmbeddings:
        result: TokenEmbeddings = student.encoder(pad_ids([np.array(row) for row in encoded.ids], tokenizer.pad))
        return result

    return encode(queries), encode(documents)


def real_vectors(embedded: TokenEmbeddings) -> list[NDArray[np.float32]]:
    """The vectors of each text without padding."""
    return [vectors[mask].numpy() for vectors, mask in zip(embedded.vectors, embedded.mask, strict=True)]
