"""Any Hugging Face encoder (XLM-R, BERT, ModernBERT), or a ColBERT made of one, as a late-interaction encoder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import tokenizers
import torch
from torch import nn

from optical_ray.encoders.backbones import load_backbone, set_dropout
from optical_ray.encoders.conventions import Support
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.encoders.layouts import DENSE, EXTRAS, PARTS, Layout, check_rows, recognise
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, Role, from_backend
from optical_ray.encoders.trimming import kept_rows, resized
from optical_ray.types import InputError


@dataclass(frozen=True)
class PretrainedEncoder(EncoderConfig):
    """The encoder in the folder ``checkpoint``, or of that name on the Hugging Face hub.

    Read are plain Hugging Face encoders, PyLate folders, Stanford ColBERT and PLAID-X folders and students of this
    program; see ``layouts``. Of a ColBERT the projection and the markers are the folder's, the rest is said here.

    ``dim``: width of the linear projection (of a plain encoder its first weights are orthogonal, so cosines are kept
    as well as ``dim`` allows), or null for the folder's own, and for a plain encoder's last layer as it is;
    ``markers``: put the marker of its role before a text, as ColBERT does; lengths in pieces, specials included;
    ``layers``: use the first so many, null for all; ``trim_vocabulary``: keep the embedding rows of pieces that the
    study's text uses; ``support``, ``skip_punctuation``, ``query_expansion``: see ``Conventions``. Raises
    ``InputError`` where the folder cannot be read.
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
            raise ValueError("checkpoint: give a folder or a name on the Hugging Face hub")
        if self.dim is not None and self.dim < 1:
            raise ValueError(f"dim: must be >= 1 or null, got {self.dim}")
        if min(self.query_length, self.document_length) < 4:
            raise ValueError("query_length, document_length: must be >= 4 (two of them are sentence ends)")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be in [0, 1), got {self.dropout}")
        if self.layers is not None and self.layers < 1:
            raise ValueError(f"layers: must be >= 1 or null, got {self.layers}")
        self.conventions.check(markers=self.markers)

    @cached_property
    def layout(self) -> Layout:
        """What the checkpoint holds; a hub name is downloaded (or found in the hub's own cache) first.

        Raises ``InputError`` where it cannot be read, has fewer layers than are asked for, or reads shorter texts.
        """
        folder = Path(self.checkpoint).expanduser()
        layout = recognise(folder if folder.is_dir() else self._download())
        self._check_within("layers", layout.layers, "has {} layers")
        for name in ("query_length", "document_length"):
            self._check_within(name, layout.longest, "reads {} pieces at most, specials included")
        return layout

    def _check_within(self, name: str, most: int | None, can: str) -> None:
        asked = getattr(self, name)
        if asked is not None and most is not None and asked > most:
            raise InputError(f"{name}: the checkpoint {can.format(most)}, got {asked}; set {name}: {most} or less")

    def _download(self) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(self.checkpoint, allow_patterns=[*PARTS, *EXTRAS, *DENSE]))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise InputError(
                f"checkpoint {self.checkpoint!r}: no such folder, and the Hugging Face hub does not give it "
                f"({type(error).__name__}); check the name, or give the folder of a downloaded copy"
            ) from error

    def width(self) -> int | None:
        """``dim``, or what the folder's files say; a hub name is not downloaded for it."""
        return self.width_of_files() if Path(self.checkpoint).expanduser().is_dir() else self.dim

    def width_of_files(self) -> int:
        """Width of a token's vector; a hub name is downloaded first. Raises ``InputError`` where ``dim`` is another."""
        layout = self.layout
        if layout.dim is not None and self.dim not in (None, layout.dim):
            raise InputError(
                f"dim: the checkpoint (layout: {layout.name}) projects to {layout.dim}, got {self.dim}; leave dim out"
            )
        return self.dim or layout.dim or layout.hidden

    def identity(self) -> dict[str, Any]:
        """All fields, the checkpoint as the digest of its files."""
        digest = hashlib.sha256()
        for part in (*PARTS, *self.layout.digested):
            for path in sorted(self.layout.folder.glob(part)):
                with open(path, "rb") as stream:
                    name = path.relative_to(self.layout.folder).as_posix()
                    digest.update(name.encode() + hashlib.file_digest(stream, "sha256").digest())
        return {**self.settings(), "checkpoint": digest.hexdigest()}

    def tokenizer(self) -> PieceTokenizer | None:
        """The checkpoint's own, with the marker pieces added where it lacks them."""
        backend = self._backend()
        check_rows(self.layout, backend.get_vocab_size(with_added_tokens=True))
        written: dict[Role, str] = {}
        for role, piece in self.layout.markers.items() if self.markers else ():
            known = next((form for form in (piece, piece.strip()) if backend.token_to_id(form) is not None), None)
            if known is None:
                raise InputError(f"checkpoint {self.checkpoint!r}: its marker {piece!r} is no piece of its tokenizer")
            written[role] = known
        markers = self.markers and (written or True)
        try:
            return from_backend(backend, markers=markers, expands=self.query_expansion)
        except ValueError as error:
            raise InputError(f"checkpoint {self.checkpoint!r}: {error}; XLM-R's and BERT's kinds are read") from error

    def _backend(self) -> tokenizers.Tokenizer:
        path = self.layout.folder / "tokenizer.json"
        try:
            return tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises nothing narrower
            raise InputError(f"{path}: not readable as a fast tokenizer ({error})") from error

    def build(self, tokenizer: PieceTokenizer) -> TokenEncoder:
        """The checkpoint's weights in float32; new rows for the markers start at the table's mean."""
        backbone = load_backbone(self.layout, self._config())
        full = self.tokenizer() if self.trim_vocabulary else None
        rows = None if full is None else kept_rows(full.backend, tokenizer.backend, self.layout.rows)
        resized(backbone, tokenizer.size, rows)
        return TokenEncoder.of(backbone, self._projection(), tokenizer, self.conventions)

    def _config(self) -> Any:
        from transformers import AutoConfig  # seconds to import

        try:
            config = AutoConfig.from_pretrained(self.layout.folder, trust_remote_code=False)
        except ValueError as error:
            raise InputError(
                f"checkpoint {self.checkpoint!r}: transformers knows no such model ({str(error).splitlines()[0]}); "
                "code that comes with a checkpoint is never run"
            ) from error
        set_dropout(config, self.dropout)
        if self.layers is not None:
            config.num_hidden_layers = self.layers
        return config

    def _projection(self) -> nn.Linear | None:
        """The folder's own, or a new one of width ``dim``."""
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
