"""An encoder as a folder: ``config.json`` and ``tokenizer.json`` as Hugging Face writes them, the weights in
``model.safetensors``, and ``encoder.json`` with what late interaction adds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tokenizers
from safetensors.torch import load_model, save_model
from torch import nn

from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, from_backend
from optical_ray.storage import read_json, write_json
from optical_ray.types import InputError


@dataclass(frozen=True)
class Checkpoint:
    """A trained encoder on disk. ``query_length`` and ``document_length`` are in pieces, specials included."""

    folder: Path
    query_length: int
    document_length: int
    markers: bool
    dim: int | None

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Read ``encoder.json``; raises ``InputError`` where the folder holds no encoder of this program."""
        if not (folder / "encoder.json").is_file():
            found = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no folder"
            raise InputError(f"{folder}: no encoder.json here (found: {found}); give a trial's student folder")
        value = read_json(folder / "encoder.json")
        return cls(folder, value["query_length"], value["document_length"], value["markers"], value["dim"])

    def tokenizer(self) -> PieceTokenizer:
        """The tokenizer of the folder."""
        backend = tokenizers.Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        return from_backend(backend, markers=self.markers)

    def load(self) -> TokenEncoder:
        """The weights of the folder, on the CPU, in evaluation mode."""
        from transformers import AutoConfig, AutoModel  # seconds to import

        tokenizer = self.tokenizer()
        config = AutoConfig.from_pretrained(self.folder)
        backbone = AutoModel.from_config(config, add_pooling_layer=False)
        projection = None if self.dim is None else nn.Linear(config.hidden_size, self.dim, bias=False)
        encoder = TokenEncoder(backbone, projection, pad=tokenizer.pad, specials=tokenizer.specials)
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
    meta = {
        "dim": None if encoder.projection is None else encoder.projection.out_features,
        "markers": bool(tokenizer.markers),
        "query_length": query_length,
        "document_length": document_length,
    }
    write_json(folder / "encoder.json", meta)
