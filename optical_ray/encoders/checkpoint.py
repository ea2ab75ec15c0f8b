"""An encoder on disk: ``config.json``, ``tokenizer.json`` and ``model.safetensors`` as Hugging Face writes them, and
``encoder.json`` with the settings of late interaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model
from torch import nn

from optical_ray.encoders.backbones import new_backbone
from optical_ray.encoders.checkpoint_files import ENCODER, MODEL, has_checkpoint, names_in, read_settings
from optical_ray.encoders.conventions import Conventions
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import (
    MARKERS,
    PieceTokenizer,
    Role,
    from_backend,
    read_backend,
    write_backend,
)
from optical_ray.study.files import write_json
from optical_ray.types import InputError


@dataclass(frozen=True)
class Checkpoint:
    """An encoder on disk.

    ``query_length`` and ``document_length`` are in pieces, special pieces included. ``markers``: whether texts carry
    the marker of their role, or the spelling of the markers. ``dim``: width of the projection, or ``None`` without one.
    """

    folder: Path
    query_length: int
    document_length: int
    markers: bool | Mapping[Role, str]
    dim: int | None
    conventions: Conventions = field(default_factory=Conventions)

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Read the settings in ``folder``; raises ``InputError`` if ``save`` did not write it."""
        if not has_checkpoint(folder):
            raise InputError(
                f"{folder}: no {ENCODER} (found: {names_in(folder)}). Give the folder of a trial's student."
            )
        value = read_settings(folder / ENCODER)
        conventions = Conventions(**value.get("conventions", {}))
        return cls(folder, value["query_length"], value["document_length"], value["markers"], value["dim"], conventions)

    def tokenizer(self) -> PieceTokenizer:
        """The encoder's tokenizer."""
        backend = read_backend(self.folder)
        return from_backend(backend, markers=self.markers, expands=self.conventions.query_expansion)

    def load(self) -> TokenEncoder:
        """The encoder with its weights, on the CPU, in evaluation mode."""
        from transformers import AutoConfig  # takes seconds to import

        config = AutoConfig.from_pretrained(self.folder)
        backbone = new_backbone(config)
        projection = None if self.dim is None else nn.Linear(config.hidden_size, self.dim, bias=False)
        encoder = TokenEncoder.from_tokenizer(backbone, projection, self.tokenizer(), self.conventions)
        load_model(encoder, str(self.folder / MODEL))
        return encoder.eval()


def save(
    folder: Path, encoder: TokenEncoder, tokenizer: PieceTokenizer, *, query_length: int, document_length: int
) -> None:
    """Write ``encoder`` and ``tokenizer`` to ``folder``; ``encoder.json`` comes last and marks the folder complete."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder.backbone.config.save_pretrained(folder)  # type: ignore[union-attr, operator]
    write_backend(folder, tokenizer.backend)
    save_model(encoder, str(folder / MODEL))
    settings: dict[str, Any] = {
        "dim": None if encoder.projection is None else encoder.projection.out_features,
        "markers": bool(tokenizer.markers) if tokenizer.marker_pieces in ({}, MARKERS) else tokenizer.marker_pieces,
        "query_length": query_length,
        "document_length": document_length,
    }
    if encoder.conventions != Conventions():
        settings["conventions"] = asdict(encoder.conventions)
    write_json(folder / ENCODER, settings)
