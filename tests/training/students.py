"""A small student and teacher with batches of sentence pairs, in memory."""

from __future__ import annotations

import torch

from optical_ray.encoders.scratch import ScratchEncoder
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, train_vocabulary
from optical_ray.ranking import padded
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.training.batches import PairBatch, pad_ids
from optical_ray.training.step import TrainState, new_state
from tests.tiny_study import WORDS, sentences, spelt

ENGLISH = [" ".join(words) for words in sentences(5, 32)]
FOREIGN = [" ".join(spelt(word, "de") for word in text.split()) for text in ENGLISH]


def tokenizer() -> PieceTokenizer:
    """Pieces for both sides."""
    return train_vocabulary([*ENGLISH, *FOREIGN, *WORDS], 300)


def encoder(pieces: PieceTokenizer, seed: int = 0, dropout: float = 0.0) -> TokenEncoder:
    """A transformer of one layer."""
    config = ScratchEncoder(layers=1, hidden=32, heads=2, intermediate=48, dim=16, seed=seed, dropout=dropout)
    return config.build(pieces)


def ids(pieces: PieceTokenizer, texts: list[str]) -> torch.Tensor:
    """Padded ids."""
    return pad_ids([torch.tensor(row).numpy() for row in pieces.encode(texts, "query", 32).ids], pieces.pad)


def cloud(teacher: TokenEncoder, pieces: PieceTokenizer, texts: list[str]) -> TokenEmbeddings:
    """The teacher's vectors of each text by itself, in half precision as a cache keeps them."""
    with torch.no_grad():
        alone = [teacher.eval()(ids(pieces, [text])) for text in texts]
    return padded([one.vectors[0][one.mask[0]].half().numpy() for one in alone])


def batch(
    pieces: PieceTokenizer,
    teacher: TokenEncoder | None,
    *,
    step: int = 0,
    size: int = 8,
    rank: int = 0,
    num_workers: int = 1,
) -> PairBatch:
    """Pairs ``step * size`` and on, those of one worker; the teacher's side as vectors, or as ids without a teacher."""
    rows = [(step * size + index) % len(ENGLISH) for index in range(size)][rank::num_workers]
    english, foreign = [ENGLISH[row] for row in rows], [FOREIGN[row] for row in rows]
    pivot = ids(pieces, english)
    return PairBatch(ids(pieces, foreign), pivot, pivot if teacher is None else cloud(teacher, pieces, english))


def state_of(
    objective: torch.nn.Module, forward: torch.nn.Module | None = None, *, steps: int = 30, rate: float = 3e-3
) -> TrainState:
    """AdamW over ``objective``."""
    return new_state(
        objective,
        forward or objective,
        learning_rate=rate,
        weight_decay=0.01,
        warmup=0.1,
        steps=steps,
        clip=1.0,
    )
