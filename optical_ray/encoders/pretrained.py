"""Any Hugging Face encoder (XLM-R, mBERT, BERT-shaped) as a late-interaction encoder."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import tokenizers
import torch
from torch import nn

from optical_ray.encoders.interface import EncoderConfig
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, from_backend
from optical_ray.types import InputError

WEIGHTS = ("*.safetensors",)
PARTS = ("config.json", "tokenizer.json", *WEIGHTS)


@dataclass(frozen=True)
class PretrainedEncoder(EncoderConfig):
    """The encoder in the folder ``checkpoint``, or of that name on the Hugging Face hub.

    ``dim``: width of the linear projection (its first weights are orthogonal, so cosines are kept as well as
    ``dim`` allows), or null to use the last layer as it is; ``markers``: add ``[Q]`` and ``[D]`` pieces, as
    ColBERT does; lengths in pieces, specials included. Raises ``InputError`` where the folder lacks a part.
    """

    kind: Literal["pretrained"] = "pretrained"
    checkpoint: str = ""
    dim: int | None = None
    markers: bool = True
    query_length: int = 32
    document_length: int = 180
    dropout: float = 0.0
    seed: int = 0

    is_trained = True
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise ValueError("checkpoint: give a folder or a name on the Hugging Face hub")
        if self.dim is not None and self.dim < 1:
            raise ValueError(f"dim: must be >= 1 or null, got {self.dim}")
        if min(self.query_length, self.document_length) < 4:
            raise ValueError("query_length, document_length: must be >= 4 (two of them are sentence ends)")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be in [0, 1), got {self.dropout}")

    @cached_property
    def folder(self) -> Path:
        """Where the files lie; a hub name is downloaded (or found in the hub's own cache) first."""
        folder = Path(self.checkpoint).expanduser()
        if not folder.is_dir():
            folder = self._download()
        missing = [part for part in PARTS if not any(folder.glob(part))]
        if missing:
            found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
            raise InputError(
                f"checkpoint {self.checkpoint!r}: lacks {', '.join(missing)} (found: {found}); "
                "save the model with save_pretrained (safetensors) and its fast tokenizer beside it"
            )
        return folder

    def _download(self) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(self.checkpoint, allow_patterns=list(PARTS)))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise InputError(
                f"checkpoint {self.checkpoint!r}: no such folder, and the Hugging Face hub does not give it "
                f"({type(error).__name__}); check the name, or give the folder of a downloaded copy"
            ) from error

    def identity(self) -> dict[str, Any]:
        """All fields, the checkpoint as the digest of its files."""
        digest = hashlib.sha256()
        for part in PARTS:
            for path in sorted(self.folder.glob(part)):
                with open(path, "rb") as stream:
                    digest.update(path.name.encode() + hashlib.file_digest(stream, "sha256").digest())
        return {**asdict(self), "checkpoint": digest.hexdigest()}

    def tokenizer(self) -> PieceTokenizer | None:
        """The checkpoint's own, with the marker pieces added."""
        backend = tokenizers.Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        try:
            return from_backend(backend, markers=self.markers)
        except ValueError as error:
            raise InputError(f"checkpoint {self.checkpoint!r}: {error}; XLM-R's and BERT's kinds are read") from error

    def build(self, tokenizer: PieceTokenizer) -> TokenEncoder:
        """The checkpoint's weights in float32; new rows for the markers start at the table's mean."""
        from transformers import AutoModel  # seconds to import

        backbone = AutoModel.from_pretrained(
            self.folder,
            dtype=torch.float32,
            use_safetensors=True,
            add_pooling_layer=False,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
        )
        table = backbone.get_input_embeddings().weight
        rows = table.shape[0]
        if tokenizer.size > rows:
            mean = table.detach().mean(dim=0)
            backbone.resize_token_embeddings(tokenizer.size, mean_resizing=False)
            with torch.no_grad():
                backbone.get_input_embeddings().weight[rows:] = mean
        projection = None
        if self.dim is not None:
            projection = nn.Linear(backbone.config.hidden_size, self.dim, bias=False)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                nn.init.orthogonal_(projection.weight)
        return TokenEncoder(backbone, projection, pad=tokenizer.pad, specials=tokenizer.specials)
