"""Text to pieces, the ColBERT way: ``<s> [Q] pieces </s>`` for a query, ``<s> [D] pieces </s>`` for a document."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import tokenizers
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers.models import Unigram
from tokenizers.normalizers import NFKC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Metaspace

Role = Literal["query", "document"]

MARKERS: dict[Role, str] = {"query": "[Q]", "document": "[D]"}
XLMR_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@dataclass(frozen=True)
class Encoded:
    """Piece ids of some texts, specials included; ``truncated`` counts the texts that were cut."""

    ids: list[list[int]]
    truncated: int


@dataclass(frozen=True)
class PieceTokenizer:
    """A subword tokenizer with the ids that an encoder needs to know.

    ``cls``, ``sep`` and ``pad`` are ids; ``markers`` maps a role to its marker's id, empty where an encoder
    uses none; ``mask`` is the mask piece's id; ``expands`` says that queries are padded with it.
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
        """The markers as they are written in the vocabulary."""
        return {role: str(self.backend.id_to_token(index)) for role, index in self.markers.items()}

    @property
    def size(self) -> int:
        """Number of pieces, markers included: the rows that an embedding table needs."""
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    @property
    def specials(self) -> frozenset[int]:
        """Ids that stand for no text: sentence ends, padding and markers."""
        return frozenset({self.cls, self.sep, self.pad, *self.markers.values()})

    @property
    def digest(self) -> str:
        """Equal pieces and ids, equal digest. Hex."""
        content = self.backend.to_str() + repr((self.cls, self.sep, self.pad, sorted(self.markers.items())))
        content += "expands" if self.expands else ""
        return hashlib.sha256(content.encode()).hexdigest()

    def encode(self, texts: Sequence[str], role: Role, max_length: int) -> Encoded:
        """Piece ids of ``texts``, each at most ``max_length`` long with its specials; longer ones are cut."""
        head = [self.cls, self.markers[role]] if self.markers else [self.cls]
        room = max_length - len(head) - 1
        encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        pieces = [encoding.ids for encoding in encodings]
        ids = [[*head, *piece[:room], self.sep] for piece in pieces]
        return Encoded(ids, truncated=sum(len(piece) > room for piece in pieces))

    def encode_queries(self, texts: Sequence[str], max_length: int) -> Encoded:
        """``encode`` for what is searched with: where the encoder ``expands``, padded with the mask piece."""
        encoded = self.encode(texts, "query", max_length)
        if not self.expands:
            return encoded
        assert self.mask is not None
        ids = [[*row, *[self.mask] * (max_length - len(row))] for row in encoded.ids]
        return Encoded(ids, encoded.truncated)


def train_vocabulary(texts: Iterable[str], size: int) -> PieceTokenizer:
    """Train a unigram vocabulary of at most ``size`` pieces, XLM-R's specials and the two markers included.

    Equal texts give equal pieces (SentencePiece on one thread). Source: Kudo (2018), Subword Regularization.
    Raises ``ValueError`` where the texts hold nothing.
    """
    normalizer = Normalizers([NFKC(), Lowercase(), Replace(tokenizers.Regex(r"\s+"), " ")])
    specials = [*XLMR_SPECIALS, *MARKERS.values()]
    normalised = (text for text in map(normalizer.normalize_str, texts) if text.strip())
    first = next(normalised, None)
    if first is None:
        raise ValueError("vocabulary: there is no text to train it on")
    content = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=itertools.chain([first], normalised),
        model_writer=content,
        model_type="unigram",
        vocab_size=size - len(specials) + 1,  # its own unknown piece is ours
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
    # rounded, so that a file says exactly what the vocabulary is
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
    """Wrap a tokenizer of XLM-R's or BERT's kind; the marker pieces are added where it lacks them.

    ``markers``: whether a text carries its role's marker, or how the markers are written. Raises ``ValueError``
    where it has no sentence-start, sentence-end or padding piece, or no mask piece and ``expands``.
    """
    backend.no_padding()
    backend.no_truncation()

    def first(names: tuple[str, ...]) -> int:
        found = [token for token in map(backend.token_to_id, names) if token is not None]
        if not found:
            raise ValueError(f"tokenizer: none of the pieces {', '.join(names)} is there")
        return found[0]

    written = markers if isinstance(markers, Mapping) else MARKERS if markers else {}
    if written:
        backend.add_special_tokens(list(written.values()))
    return PieceTokenizer(
        backend,
        cls=first(("<s>", "[CLS]")),
        sep=first(("</s>", "[SEP]")),
        pad=first(("<pad>", "[PAD]")),
        markers={role: first((piece,)) for role, piece in written.items()},
        mask=first(("<mask>", "[MASK]")) if expands else None,
        expands=expands,
    )
