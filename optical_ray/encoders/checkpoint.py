"""An encoder as a folder: ``config.json`` and ``tokenizer.json`` as Hugging Face writes them, the weights in
``model.safetensors``, and ``encoder.json`` with what late interaction adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tokenizers
from safetensors.torch import load_model, save_model
from torch import nn

from optical_ray.encoders.backbones import new_backbone
from optical_ray.encoders.conventions import Conventions
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import MARKERS, PieceTokenizer, Role, from_backend
from optical_ray.encoders.weight_files import read_settings
from optical_ray.study.files import write_json
from optical_ray.types import InputError

META = "encoder.json"


@dataclass(frozen=True)
class Checkpoint:
    """A trained encoder on disk. ``query_length`` and ``document_length`` are in pieces, specials included.

    ``markers``: whether texts carry the marker of their role, or how the markers are written.
    """

    folder: Path
    query_length: int
    document_length: int
    markers: bool | Mapping[Role, str]
    dim: int | None
    conventions: Conventions = field(default_factory=Conventions)

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Read ``encoder.json``; raises ``InputError`` where the folder holds no encoder of this program."""
        if not (folder / META).is_file():
            found = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no folder"
            raise InputError(f"{folder}: no {META} here (found: {found}); give a trial's student folder")
        value = read_settings(folder / META)
        conventions = Conventions(**value.get("conventions", {}))
        return cls(folder, value["query_length"], value["document_length"], value["markers"], value["dim"], conventions)

    def tokenizer(self) -> PieceTokenizer:
        """The tokenizer of the folder."""
        backend = tokenizers.Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        return from_backend(backend, markers=self.markers, expands=self.conventions.query_expansion)

    def load(self) -> TokenEncoder:
        """The weights of the folder, on the CPU, in evaluation mode."""
        from transformers import AutoConfig  # seconds to import

        config = AutoConfig.from_pretrained(self.folder)
        backbone = new_backbone(config)
        projection = None if self.dim is None else nn.Linear(config.hidden_size, self.dim, bias=False)
        encoder = TokenEncoder.of(backbone, projection, self.tokenizer(), self.conventions)
        load_model(encoder, str(self.folder / "model.safetensors"))
        return encoder.eval()


def save(
    folder: Path, encoder: TokenEncoder, tokenizer: PieceTokenizer, *, query_length: int, document_length: int
) -> None:
    """Write ``encoder`` and ``tokenizer`` to ``folder``; ``encoder.json`` last, so that its presence means whole."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder.backbone.config.save_pretrained(folder)  # type: ignore[union-attr, operator]
    tokenizer.backend.save(str(folder / "tokenizer.json"))
    save_model(encoder, str(folder / "model.safetensors"))
    meta: dict[str, Any] = {
        "dim": None if encoder.projection is None else encoder.projection.out_features,
        "markers": bool(tokenizer.markers) if tokenizer.marker_pieces in ({}, MARKERS) else tokenizer.marker_pieces,
        "query_length": query_length,
        "document_length": document_length,
    }
    if encoder.conventions != Conventions():
        meta["conventions"] = asdict(encoder.conventions)
    write_json(folder / META, meta)
