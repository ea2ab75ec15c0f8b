"""A Hugging Face encoder (XLM-R, BERT, ModernBERT), or a ColBERT made from one, as a late-interaction encoder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from optical_ray.encoders.backbones import load_backbone, new_backbone, set_dropout
from optical_ray.encoders.conventions import Support
from optical_ray.encoders.interface import EXAMPLE_TEXTS, EncoderConfig, check_limits
from optical_ray.encoders.layouts import DENSE, EXTRAS, PARTS, Layout, check_rows, recognise
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import (
    PieceTokenizer,
    Role,
    from_backend,
    read_backend,
    train_vocabulary,
    write_backend,
)
from optical_ray.encoders.trimming import kept_rows, resize_embeddings
from optical_ray.types import InputError


@dataclass(frozen=True)
class PretrainedEncoder(EncoderConfig):
    """The encoder in the folder ``checkpoint``, or with that name on the Hugging Face hub.

    Reads plain Hugging Face encoders, PyLate folders, Stanford ColBERT and PLAID-X folders, and students of this
    program; see ``layouts``. The projection and the markers of a ColBERT come from its folder.

    ``dim``: width of the linear projection, whose initial weights are orthogonal for a plain encoder, so that cosines
    are kept as well as ``dim`` allows; null: the folder's own projection, or the last layer of a plain encoder.
    ``markers``: put the marker of its role before a text, as ColBERT does. ``query_length``, ``document_length``: in
    pieces, special pieces included. ``layers``: number of layers to keep, counted from the first; null: all.
    ``trim_vocabulary``: keep only the embedding rows of pieces that the study's text uses.
    ``support``, ``skip_punctuation``, ``query_expansion``: see ``Conventions``.
    """

    kind: Literal["pretrained"] = "pretrained"
    checkpoint: str = ""
    dim: int | None = None
    markers: bool = True
    query_length: int = 32
    document_length: int = 180
    dropout: float = 0.0
    seed: int = 0
    support: Support = field(default="pieces", metadata={"since": 2})
    skip_punctuation: bool = field(default=False, metadata={"since": 2})
    query_expansion: bool = field(default=False, metadata={"since": 2})
    layers: int | None = field(default=None, metadata={"since": 2})
    trim_vocabulary: bool = field(default=False, metadata={"since": 2})

    is_trained = True

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise ValueError("checkpoint: missing. Give a folder or a name on the Hugging Face hub.")
        for name in ("dim", "layers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: out of range (got {value}, expected at least 1, or null)")
        check_limits(query_length=self.query_length, document_length=self.document_length, dropout=self.dropout)
        self.conventions.check(markers=self.markers)

    @cached_property
    def layout(self) -> Layout:
        """The layout of the checkpoint; a hub name is downloaded first, unless the hub's cache has it.

        Raises ``InputError`` if the checkpoint cannot be read, has fewer layers than configured, or has fewer positions
        than the configured lengths.
        """
        folder = Path(self.checkpoint).expanduser()
        layout = recognise(folder if folder.is_dir() else self._download())
        self._check_at_most("layers", layout.layers, "the checkpoint has {} layers")
        for name in ("query_length", "document_length"):
            self._check_at_most(name, layout.longest, "the checkpoint reads at most {} pieces, special pieces included")
        return layout

    def _check_at_most(self, name: str, most: int | None, reason: str) -> None:
        value = getattr(self, name)
        if value is not None and most is not None and value > most:
            raise InputError(f"{name}: {reason.format(most)} (got {value}). Set {name}: {most} or less.")

    def _download(self) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(self.checkpoint, allow_patterns=[*PARTS, *EXTRAS, *DENSE]))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise InputError(
                f"checkpoint {self.checkpoint!r}: no such folder, and the download from the Hugging Face hub failed "
                f"({type(error).__name__}). Check the name, or give the folder of a downloaded copy."
            ) from error

    def width(self) -> int:
        """``dim``, or the width in the checkpoint's files; a hub name is downloaded first.

        Raises ``InputError`` if the folder has a projection of another width than ``dim``.
        """
        layout = self.layout
        if layout.dim is not None and self.dim not in (None, layout.dim):
            raise InputError(
                f"dim: the checkpoint (layout: {layout.name}) has a projection to another width (got {self.dim}, "
                f"expected {layout.dim}). Leave dim out."
            )
        return self.dim or layout.dim or layout.hidden

    def width_before_download(self) -> int | None:
        """``width`` of a local folder; of other checkpoints ``dim``."""
        return self.width() if Path(self.checkpoint).expanduser().is_dir() else self.dim

    def identity(self) -> dict[str, Any]:
        """All fields, with the digest of the checkpoint's files in place of its path."""
        digest = hashlib.sha256()
        for part in (*PARTS, *self.layout.digested):
            for path in sorted(self.layout.folder.glob(part)):
                with open(path, "rb") as stream:
                    name = path.relative_to(self.layout.folder).as_posix()
                    digest.update(name.encode() + hashlib.file_digest(stream, "sha256").digest())
        return {**self.settings(), "checkpoint": digest.hexdigest()}

    def tokenizer(self) -> PieceTokenizer | None:
        """The checkpoint's tokenizer; the marker pieces of a plain encoder are added to it."""
        backend = read_backend(self.layout.folder)
        check_rows(self.layout, backend.get_vocab_size(with_added_tokens=True))
        spellings: dict[Role, str] = {}
        for role, piece in self.layout.markers.items() if self.markers else ():
            known = next((form for form in (piece, piece.strip()) if backend.token_to_id(form) is not None), None)
            if known is None:
                raise InputError(
                    f"checkpoint {self.checkpoint!r}: its marker {piece!r} is not a piece of its tokenizer. Fetch the "
                    "folder again, or set markers: false."
                )
            spellings[role] = known
        markers = self.markers and (spellings or True)
        try:
            return from_backend(backend, markers=markers, expands=self.query_expansion)
        except ValueError as error:
            raise InputError(
                f"checkpoint {self.checkpoint!r}: {error}. Give a model with the special pieces of XLM-R or BERT."
            ) from error

    def build(self, tokenizer: PieceTokenizer) -> TokenEncoder:
        """The checkpoint's weights in float32; the rows of added markers start at the mean of the embedding table."""
        backbone = load_backbone(self.layout, self._config())
        full = self.tokenizer() if self.trim_vocabulary else None
        rows = None if full is None else kept_rows(full.backend, tokenizer.backend, self.layout.rows)
        own = read_backend(self.layout.folder)
        spellings = tokenizer.marker_pieces
        added = [index for role, index in tokenizer.markers.items() if own.token_to_id(spellings[role]) is None]
        resize_embeddings(backbone, tokenizer.size, rows, new_pieces=added)
        return TokenEncoder.from_tokenizer(backbone, self._projection(), tokenizer, self.conventions)

    def _config(self) -> Any:
        from transformers import AutoConfig  # takes seconds to import

        try:
            config = AutoConfig.from_pretrained(self.layout.folder, trust_remote_code=False)
        except ValueError as error:
            raise InputError(
                f"checkpoint {self.checkpoint!r}: transformers does not know the model "
                f"({str(error).splitlines()[0][:200]}). Code that comes with a checkpoint is never run. Give another "
                "model."
            ) from error
        set_dropout(config, self.dropout)
        if self.layers is not None:
            config.num_hidden_layers = self.layers
        return config

    def _projection(self) -> nn.Linear | None:
        """The folder's projection, or a new one of width ``dim``."""
        weight = self.layout.projection_weight()
        if weight is None and self.dim is None:
            return None
        out, hidden = (self.dim, self.layout.hidden) if weight is None else weight.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            projection = nn.Linear(hidden, out or hidden, bias=False)
            if weight is None:
                torch.manual_seed(self.seed)
                nn.init.orthogonal_(projection.weight)
            else:
                projection.weight = nn.Parameter(weight)
        return projection

    @classmethod
    def example(cls, folder: Path) -> PretrainedEncoder:
        """A tiny BERT with random weights."""
        from transformers import BertConfig  # takes seconds to import

        tokenizer = train_vocabulary(EXAMPLE_TEXTS, 150)
        config = BertConfig(
            vocab_size=tokenizer.size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=256, pad_token_id=tokenizer.pad,
        )  # fmt: skip
        new_backbone(config).save_pretrained(folder)  # type: ignore[operator]
        write_backend(folder, tokenizer.backend)
        return cls(checkpoint=str(folder), dim=8)
