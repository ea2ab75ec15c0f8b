"""Which tokens of a text have a vector, and how queries are padded: the choices in which ColBERT models differ."""

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
    """Which tokens of a text have a vector.

    ``support``: ``pieces`` excludes sentence ends and markers; ``all`` includes them, as Stanford's ColBERT and PyLate
    do. ``skip_punctuation``: punctuation in documents (texts with the document marker) has no vector.
    ``query_expansion``: queries are padded to their full length with the mask piece; these pieces have vectors, but no
    other piece attends to them. Source: Khattab and Zaharia 2020 (arXiv 2004.12832), section 3.2.
    """

    support: Support = "pieces"
    skip_punctuation: bool = False
    query_expansion: bool = False

    def check(self, *, markers: bool) -> None:
        """Raise ``ValueError`` if a convention needs markers and the encoder has none."""
        if self.skip_punctuation and not markers:
            raise ValueError(
                "skip_punctuation: needs markers, because documents are recognised by theirs (got markers: false). "
                "Set markers: true."
            )


def punctuation(backend: tokenizers.Tokenizer) -> frozenset[int]:
    """Ids of the pieces that consist of one ASCII punctuation sign, at the start of a word or inside it.

    After a space SentencePiece writes a comma as ``▁,`` and byte-level BPE as ``Ġ,``: the prefix is ignored.
    """
    signs = set(string.punctuation)
    added = {piece.content for piece in backend.get_added_tokens_decoder().values()}
    return frozenset(
        index
        for piece, index in backend.get_vocab(with_added_tokens=True).items()
        if piece.removeprefix(WORD_START).removeprefix(BYTE_SPACE) in signs and piece not in added
    )
