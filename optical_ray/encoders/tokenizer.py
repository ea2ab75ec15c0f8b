"""Splits text into pieces as ColBERT does: ``<s> [Q] pieces </s>`` for queries, ``<s> [D] pieces </s>`` for documents.

The backend is a tokenizer of the package ``tokenizers``.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tokenizers
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers.models import Unigram
from tokenizers.normalizers import NFKC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Metaspace

from optical_ray.encoders.checkpoint_files import TOKENIZER
from optical_ray.types import InputError

Role = Literal["query", "document"]

MARKERS: dict[Role, str] = {"query": "[Q]", "document": "[D]"}
XLMR_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@dataclass(frozen=True)
class Encoded:
    """Piece ids of texts, special pieces included; ``truncated`` is the number of texts that were cut."""

    ids: list[list[int]]
    truncated: int


@dataclass(frozen=True)
class PieceTokenizer:
    """A subword tokenizer and the ids of its special pieces.

    ``markers`` maps a role to the id of its marker and is empty if the encoder has no markers; ``expands``: queries are
    padded to their full length with the piece ``mask``.
    """

    backend: tokenizers.Tokenizer
    cls: int
    sep: int
    pad: int
    markers: dict[Role, int]
    mask: int | None = None
    expands: bool = False

    @property
    def marker_pieces(self) -> dict[Role, str]:
        """The spelling of the markers in the vocabulary, by role."""
        return {role: str(self.backend.id_to_token(index)) for role, index in self.markers.items()}

    @property
    def size(self) -> int:
        """Number of pieces, markers included; an embedding table needs as many rows."""
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    @property
    def specials(self) -> frozenset[int]:
        """Ids that represent no text: sentence ends, padding and markers."""
        return frozenset({self.cls, self.sep, self.pad, *self.markers.values()})

    @property
    def digest(self) -> str:
        """Hexadecimal digest of everything that decides how a text is split."""
        content = self.backend.to_str() + repr((self.cls, self.sep, self.pad, sorted(self.markers.items())))
        content += "expands" if self.expands else ""
        return hashlib.sha256(content.encode()).hexdigest()

    def encode(self, texts: Sequence[str], role: Role, max_length: int) -> Encoded:
        """Piece ids of ``texts``; a text longer than ``max_length`` pieces, special pieces included, is cut."""
        head = [self.cls, self.markers[role]] if self.markers else [self.cls]
        room = max_length - len(head) - 1
        encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        pieces = [encoding.ids for encoding in encodings]
        ids = [[*head, *piece[:room], self.sep] for piece in pieces]
        return Encoded(ids, truncated=sum(len(piece) > room for piece in pieces))

    def encode_queries(self, texts: Sequence[str], max_length: int) -> Encoded:
        """Piece ids of queries, padded with the mask piece to ``max_length`` if the encoder ``expands`` queries."""
        encoded = self.encode(texts, "query", max_length)
        if not self.expands:
            return encoded
        assert self.mask is not None
        ids = [[*row, *[self.mask] * (max_length - len(row))] for row in encoded.ids]
        return Encoded(ids, encoded.truncated)


def read_backend(folder: Path) -> tokenizers.Tokenizer:
    """Read the ``tokenizer.json`` in ``folder``; raises ``InputError`` if it is not a fast tokenizer."""
    path = folder / TOKENIZER
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises nothing narrower
        raise InputError(
            f"{path}: not a fast tokenizer ({str(error)[:200]}). Fetch the file again, or write it with transformers: "
            "tokenizer.save_pretrained(folder)."
        ) from error


def write_backend(folder: Path, backend: tokenizers.Tokenizer) -> None:
    """Write ``backend`` to ``folder`` as ``tokenizer.json``."""
    backend.save(str(folder / TOKENIZER))


def train_vocabulary(texts: Iterable[str], size: int) -> PieceTokenizer:
    """Train a unigram vocabulary of at most ``size`` pieces, including XLM-R's special pieces and the two markers.

    Deterministic: equal texts give equal pieces. Raises ``ValueError`` if all texts are empty.
    Source: Kudo (2018), Subword Regularization.
    """
    normalizer = Normalizers([NFKC(), Lowercase(), Replace(tokenizers.Regex(r"\s+"), " ")])
    specials = [*XLMR_SPECIALS, *MARKERS.values()]
    normalised = (text for text in map(normalizer.normalize_str, texts) if text.strip())
    first = next(normalised, None)
    if first is None:
        raise ValueError("vocabulary: no text to train on (all texts are empty). Check the bitext.")
    content = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=itertools.chain([first], normalised),
        model_writer=content,
        model_type="unigram",
        vocab_size=size - len(specials) + 1,  # its unknown piece is already among ours
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        max_sentence_length=1 << 20,
        num_threads=1,
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    model = SentencePieceProcessor(model_proto=content.getvalue())
    # rounded, so that scores survive writing and reading exactly
    pieces = [(model.id_to_piece(index), round(model.get_score(index), 6)) for index in range(1, len(model))]
    vocabulary = [*((special, 0.0) for special in specials), *pieces]
    backend = tokenizers.Tokenizer(Unigram(vocabulary, unk_id=specials.index("<unk>")))
    backend.normalizer = normalizer
    backend.pre_tokenizer = Metaspace()
    backend.add_special_tokens(specials)
    return from_backend(backend)


def from_backend(
    backend: tokenizers.Tokenizer, *, markers: bool | Mapping[Role, str] = True, expands: bool = False
) -> PieceTokenizer:
    """Wrap a tokenizer with XLM-R's or BERT's special pieces; missing marker pieces are added to it.

    ``markers``: whether texts carry the marker of their role, or the spelling of the markers. Raises ``ValueError`` if
    the piece for sentence start, sentence end or padding is missing, or if ``expands`` and the mask piece is missing.
    """
    backend.no_padding()
    backend.no_truncation()

    def first(names: tuple[str, ...]) -> int:
        ids = [index for index in map(backend.token_to_id, names) if index is not None]
        if not ids:
            raise ValueError(f"tokenizer: a special piece is missing (expected one of {', '.join(names)})")
        return ids[0]

    spellings = markers if isinstance(markers, Mapping) else MARKERS if markers else {}
    if spellings:
        backend.add_special_tokens(list(spellings.values()))
    return PieceTokenizer(
        backend,
        cls=first(("<s>", "[CLS]")),
        sep=first(("</s>", "[SEP]")),
        pad=first(("<pad>", "[PAD]")),
        markers={role: first((piece,)) for role, piece in spellings.items()},
        mask=first(("<mask>", "[MASK]")) if expands else None,
        expands=expands,
    )
