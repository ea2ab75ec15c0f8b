"""Which tokens of a text give a vector, and what a query is padded with: where ColBERT's descendants differ."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Literal

import tokenizers

Support = Literal["pieces", "all"]

WORD_START = "▁"
BYTE_SPACE = "Ġ"


@dataclass(frozen=True)
class Conventions:
    """How a text becomes a cloud of vectors.

    ``support``: ``pieces`` leaves out sentence ends and markers, ``all`` counts them, as Stanford's ColBERT and
    PyLate do. ``skip_punctuation``: punctuation in documents (told by their marker) gives no vector.
    ``query_expansion``: queries are padded with the mask piece to their full length, and those pieces count; no
    other piece attends to them. Source: Khattab and Zaharia 2020 (arXiv 2004.12832), section 3.2.
    """

    support: Support = "pieces"
    skip_punctuation: bool = False
    query_expansion: bool = False

    def check(self, *, markers: bool) -> None:
        """Raise ``ValueError`` where a convention cannot be kept without markers."""
        if self.skip_punctuation and not markers:
            raise ValueError("skip_punctuation: needs markers: true (a document is told from a query by its marker)")


def punctuation(backend: tokenizers.Tokenizer) -> frozenset[int]:
    """Ids of the pieces that are one ASCII punctuation sign, whether or not a word begins with them.

    A SentencePiece vocabulary writes ``▁,`` for a sign behind a space, one of bytes ``Ġ,``: that is stripped first,
    without which half of the signs would be missed.
    """
    signs = set(string.punctuation)
    added = {piece.content for piece in backend.get_added_tokens_decoder().values()}
    return frozenset(
        index
        for piece, index in backend.get_vocab(with_added_tokens=True).items()
        if piece.removeprefix(WORD_START).removeprefix(BYTE_SPACE) in signs and piece not in added
    )
