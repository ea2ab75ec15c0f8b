"""What kind of encoder a folder holds, read off its files; nothing of it is ever run, and weights are safetensors only.

Understood are a student of this program (``encoder.json``), a PyLate folder (``modules.json`` with a Dense module), a
Stanford ColBERT or PLAID-X folder (``linear.weight`` beside the encoder's own weights) and a plain Hugging Face
encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from optical_ray.encoders.tokenizer import MARKERS, Role
from optical_ray.storage import read_json
from optical_ray.types import InputError

WEIGHTS = "*.safetensors"
PARTS = ("config.json", "tokenizer.json", WEIGHTS)
EXTRAS = ("encoder.json", "modules.json", "config_sentence_transformers.json", "artifact.metadata")
DENSE = ("*_Dense/config.json", "*_Dense/*.safetensors")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.dnn", "*.pkl")
KNOWN = (
    "a student of this program (encoder.json), a PyLate folder (modules.json with a Dense module), a Stanford ColBERT "
    "or PLAID-X folder (config.json, model.safetensors with linear.weight, artifact.metadata), a Hugging Face encoder "
    "(config.json, tokenizer.json, model.safetensors)"
)
LINEAR = "linear.weight"
IDENTITY = "torch.nn.modules.linear.Identity"
TABLE = "word_embeddings.weight"


@dataclass(frozen=True)
class Layout:
    """A folder that was understood.

    ``prefix``: before the backbone's names in the weight files. ``projection``: files with a ``linear.weight`` (or
    its name in ``projection_name``), applied in turn. ``dim``: width after them, ``None`` where there are none.
    ``hidden``: width of the backbone. ``markers``: how the folder writes them, empty where it has none. ``rows``: of
    the embedding table. ``digested``: the files beside ``PARTS`` that the vectors depend on.
    """

    name: str
    folder: Path
    hidden: int
    rows: int
    prefix: str = ""
    projection: tuple[Path, ...] = ()
    projection_name: str = LINEAR
    dim: int | None = None
    markers: Mapping[Role, str] = field(default_factory=dict)
    digested: tuple[str, ...] = ()

    def projection_weight(self) -> Float[Tensor, "D H"] | None:
        """The folder's projection as one matrix, in float32; ``None`` where it has none."""
        weight: Tensor | None = None
        for path in self.projection:
            with safe_open(path, framework="pt") as stream:
                step = stream.get_tensor(self.projection_name).float()
            weight = step if weight is None else step @ weight
        return weight

    def backbone_weights(self) -> dict[str, Tensor]:
        """The backbone's tensors by their own names, without pooling heads."""
        tensors: dict[str, Tensor] = {}
        for path in sorted(self.folder.glob(WEIGHTS)):
            with safe_open(path, framework="pt") as stream:
                for name in stream.keys():  # noqa: SIM118 - it is no mapping
                    if name.startswith(self.prefix) and name != self.projection_name:
                        tensors[name.removeprefix(self.prefix)] = stream.get_tensor(name)
        return {name: value for name, value in tensors.items() if not name.startswith("pooler.")}


def recognise(folder: Path) -> Layout:
    """The layout of ``folder``.

    Raises ``InputError`` where it is none of those understood, where weights are pickled, and where the model would
    need code of its own.
    """
    found = sorted(path.name for path in folder.iterdir())
    missing = [part for part in PARTS if not any(folder.glob(part))]
    if missing:
        pickled = sorted({path.name for pattern in PICKLES for path in folder.glob(pattern)})
        if WEIGHTS in missing and pickled:
            raise InputError(
                f"checkpoint {str(folder)!r}: lacks {WEIGHTS} (found: {', '.join(pickled)}): pickled weights are "
                "refused, since reading a pickle runs whatever code it holds; where you trust it, "
                "model.save_pretrained(folder) writes model.safetensors: give that folder"
            )
        raise InputError(
            f"checkpoint {str(folder)!r}: no layout that is understood: lacks {', '.join(missing)} "
            f"(found: {', '.join(found) or 'nothing'}); understood are {KNOWN}"
        )
    config = _json(folder / "config.json")
    names = _shapes(folder)
    hidden = config.get("hidden_size")
    tables = [name for name in names if name.endswith(TABLE)]
    if config.get("auto_map") and not tables:
        raise InputError(f"checkpoint {str(folder)!r}: needs Python code of its own (auto_map), which is never run")
    if not isinstance(hidden, int) or not tables:
        kind = config.get("model_type", "no model_type")
        raise InputError(
            f"checkpoint {str(folder)!r}: no encoder of BERT's or XLM-R's kind ({kind}; need hidden_size in "
            f"config.json and a tensor *{TABLE}); understood are {KNOWN}"
        )
    prefix = tables[0].removesuffix(f"embeddings.{TABLE}")
    plain = Layout("hugging face", folder, hidden, names[tables[0]][0], prefix)
    if (folder / "encoder.json").is_file():
        return _own(plain, names)
    if LINEAR in names:
        return _colbert(plain, names)
    dense = _dense_modules(folder)
    return _pylate(plain, dense) if dense else plain


def _own(plain: Layout, names: Mapping[str, tuple[int, ...]]) -> Layout:
    folder = plain.folder
    meta = _json(folder / "encoder.json")
    weights = tuple(folder.glob(WEIGHTS)) if "projection.weight" in names else ()
    markers = meta.get("markers")
    return replace(
        plain, name="optical_ray", projection=weights, projection_name="projection.weight", dim=meta.get("dim"),
        digested=("encoder.json",),
        markers=markers if isinstance(markers, dict) else dict(MARKERS) if markers else {},
    )  # fmt: skip


def _colbert(plain: Layout, names: Mapping[str, tuple[int, ...]]) -> Layout:
    folder = plain.folder
    path = folder / "artifact.metadata"
    meta = _json(path) if path.is_file() else {}
    weights = tuple(path for path in folder.glob(WEIGHTS) if LINEAR in _shapes_of(path))
    return replace(
        plain, name="colbert", projection=weights, dim=names[LINEAR][0], digested=("artifact.metadata",),
        markers={
            "query": meta.get("query_token_id") or "[unused0]", "document": meta.get("doc_token_id") or "[unused1]",
        },
    )  # fmt: skip


def _pylate(plain: Layout, dense: tuple[str, ...]) -> Layout:
    folder = plain.folder
    files, width = [], plain.hidden
    for name in dense:
        config = _json(folder / name / "config.json")
        weights = sorted((folder / name).glob(WEIGHTS))
        if not weights:
            raise InputError(f"checkpoint {str(folder)!r}: {name} holds no safetensors; pickled weights are refused")
        activation = config.get("activation_function", IDENTITY)
        if config.get("bias") or config.get("use_residual") or activation != IDENTITY:
            raise InputError(
                f"checkpoint {str(folder)!r}: {name} is more than a linear projection (bias {config.get('bias')}, "
                f"residual {config.get('use_residual')}, activation {activation}); only plain projections are read"
            )
        shape = _shapes_of(weights[0])[LINEAR]
        if shape[1] != width:
            raise InputError(f"checkpoint {str(folder)!r}: {name} reads {shape[1]} numbers, but gets {width}")
        files.append(weights[0])
        width = shape[0]
    path = folder / "config_sentence_transformers.json"
    meta = _json(path) if path.is_file() else {}
    prompts = meta.get("prompts") or {}
    written: dict[Role, str] = {
        "query": meta.get("query_prefix", prompts.get("query")) or "",
        "document": meta.get("document_prefix", prompts.get("document")) or "",
    }
    markers = {role: piece for role, piece in written.items() if piece}
    if len(markers) == 1:
        raise InputError(f"checkpoint {str(folder)!r}: only one of query and document has a marker ({markers})")
    return replace(
        plain, name="pylate", projection=tuple(files), dim=width, markers=markers,
        digested=("config_sentence_transformers.json", *DENSE),
    )  # fmt: skip


def _dense_modules(folder: Path) -> tuple[str, ...]:
    """Folders of the Dense modules that ``modules.json`` names, in their order; none where one vector is pooled."""
    path = folder / "modules.json"
    if not path.is_file():
        return ()
    modules = sorted(_json(path), key=lambda module: module["idx"])
    kinds = {module["path"]: module["type"].rpartition(".")[2] for module in modules}
    return () if "Pooling" in kinds.values() else tuple(path for path, kind in kinds.items() if kind == "Dense")


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    return {name: shape for path in sorted(folder.glob(WEIGHTS)) for name, shape in _shapes_of(path).items()}


def _shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a file's tensors; only its header is read."""
    try:
        with safe_open(path, framework="pt") as stream:
            return {name: tuple(stream.get_slice(name).get_shape()) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable JSON ({error})") from error


def check_rows(layout: Layout, pieces: int) -> None:
    """Raise ``InputError`` where the tokenizer knows more pieces than the embedding table has rows."""
    if pieces > layout.rows:
        raise InputError(
            f"checkpoint {str(layout.folder)!r}: its tokenizer has {pieces} pieces, but its embedding table only "
            f"{layout.rows} rows; they do not belong together: give the tokenizer.json of these very weights"
        )


def load_backbone(layout: Layout, config: Any) -> torch.nn.Module:
    """The encoder of ``config`` in float32 with the folder's weights; raises ``InputError`` where some are missing."""
    from transformers import AutoModel  # seconds to import

    with torch.random.fork_rng(devices=[]):  # first weights are drawn and then overwritten: nobody should notice
        model = AutoModel.from_config(config, add_pooling_layer=False, trust_remote_code=False, dtype=torch.float32)
    backbone: torch.nn.Module = model.float()
    missing, _ = backbone.load_state_dict(layout.backbone_weights(), strict=False)
    if missing:
        raise InputError(
            f"checkpoint {str(layout.folder)!r}: {len(missing)} tensors are missing, e.g. {', '.join(missing[:3])}; "
            "is the download whole, and config.json of the same model?"
        )
    return backbone
