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

from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from optical_ray.encoders.tokenizer import MARKERS, Role
from optical_ray.encoders.weight_files import (
    WEIGHTS,
    read_modules,
    read_settings,
    refuse_pickles,
    shapes_in,
    shapes_of,
)
from optical_ray.types import InputError

PARTS = ("config.json", "tokenizer.json", WEIGHTS)
EXTRAS = ("encoder.json", "modules.json", "config_sentence_transformers.json", "artifact.metadata")
DENSE = ("*_Dense/config.json", "*_Dense/*.safetensors")
KNOWN = (
    "a student of this program (encoder.json), a PyLate folder (modules.json with a Dense module), a Stanford ColBERT "
    "or PLAID-X folder (config.json, model.safetensors with linear.weight, artifact.metadata), a Hugging Face encoder "
    "(config.json, tokenizer.json, model.safetensors)"
)
LINEAR = "linear.weight"
IDENTITY = "torch.nn.modules.linear.Identity"
TABLES = ("embeddings.word_embeddings.weight", "embeddings.tok_embeddings.weight")
"""The embedding table, of BERT's kind and of ModernBERT's."""
POSITIONS = "embeddings.position_embeddings.weight"
AFTER_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet")
"""Model types whose positions begin behind the padding id."""

FEWEST_PIECES = 0.9
"""Of the rows of an embedding table: it is padded to round numbers at most, so fewer are another model's."""


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
    layers: int | None = None
    longest: int | None = None
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
    missing = [part for part in PARTS if not any(folder.glob(part))]
    if missing:
        refuse_pickles(folder)
        found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise InputError(
            f"checkpoint {str(folder)!r}: no layout that is understood: lacks {', '.join(missing)} "
            f"(found: {found}); understood are {KNOWN}"
        )
    names = shapes_in(folder)
    plain = _plain(folder, read_settings(folder / "config.json"), names)
    if (folder / "encoder.json").is_file():
        return _own(plain, names)
    if LINEAR in names:
        return _colbert(plain, names)
    dense = _dense_modules(folder)
    return _pylate(plain, dense) if dense else plain


def _plain(folder: Path, config: Mapping[str, Any], names: Mapping[str, tuple[int, ...]]) -> Layout:
    """The encoder alone; its embedding table must have the shape that ``config`` says."""
    hidden = config.get("hidden_size")
    tables = [name for name in names if name.endswith(TABLES)]
    where = f"checkpoint {str(folder)!r}"
    if config.get("auto_map") and not tables:
        raise InputError(f"{where}: needs Python code of its own (auto_map), which is never run")
    if not isinstance(hidden, int) or not tables:
        raise InputError(
            f"{where}: no encoder of BERT's or XLM-R's kind ({config.get('model_type', 'no model_type')}; need "
            f"hidden_size in config.json and a tensor *{TABLES[0]}); understood are {KNOWN}"
        )
    rows, columns = names[tables[0]]
    width = "embedding_size" if config.get("embedding_size") else "hidden_size"
    for name, said, found in (("vocab_size", config.get("vocab_size"), rows), (width, config[width], columns)):
        if said not in (None, found):
            raise InputError(
                f"{where}: config.json says {name} {said}, but {tables[0]} has {rows} rows of {columns} numbers; "
                "give the config.json of these very weights"
            )
    prefix = tables[0].partition("embeddings.")[0]
    layers = config.get("num_hidden_layers")
    return Layout(
        "hugging face", folder, hidden, rows, prefix, longest=_longest(config, names.get(prefix + POSITIONS)),
        layers=layers if isinstance(layers, int) else None,
    )  # fmt: skip


def _longest(config: Mapping[str, Any], positions: tuple[int, ...] | None) -> int | None:
    """Pieces that there are positions for."""
    if positions is None:
        return None
    padding = config.get("pad_token_id")
    begin = (padding if isinstance(padding, int) else 1) + 1
    return positions[0] - (begin if config.get("model_type") in AFTER_PADDING else 0)


def _own(plain: Layout, names: Mapping[str, tuple[int, ...]]) -> Layout:
    folder = plain.folder
    meta = read_settings(folder / "encoder.json")
    shape = names.get("projection.weight")
    markers = meta.get("markers")
    return replace(
        plain, name="optical_ray", projection=tuple(folder.glob(WEIGHTS)) if shape else (),
        projection_name="projection.weight", dim=_projected(folder, shape, plain.hidden) if shape else None,
        digested=("encoder.json",),
        markers=markers if isinstance(markers, dict) else dict(MARKERS) if markers else {},
    )  # fmt: skip


def _colbert(plain: Layout, names: Mapping[str, tuple[int, ...]]) -> Layout:
    folder = plain.folder
    path = folder / "artifact.metadata"
    meta = read_settings(path) if path.is_file() else {}
    nested = meta.get("config")
    meta = nested if isinstance(nested, dict) else meta
    weights = tuple(path for path in folder.glob(WEIGHTS) if LINEAR in shapes_of(path))
    return replace(
        plain, name="colbert", projection=weights, dim=_projected(folder, names[LINEAR], plain.hidden),
        digested=("artifact.metadata",),
        markers={
            "query": meta.get("query_token_id") or "[unused0]", "document": meta.get("doc_token_id") or "[unused1]",
        },
    )  # fmt: skip


def _projected(folder: Path, shape: tuple[int, ...], width: int, name: str = "the projection") -> int:
    """Numbers that a projection of this shape gives; ``InputError`` where it does not read ``width``."""
    if len(shape) != 2 or shape[1] != width:
        raise InputError(
            f"checkpoint {str(folder)!r}: {name} reads {shape[-1]} numbers, but gets {width}; is it of this very model?"
        )
    return shape[0]


def _pylate(plain: Layout, dense: tuple[str, ...]) -> Layout:
    folder = plain.folder
    files, width = [], plain.hidden
    for name in dense:
        weights, shape = _dense(folder, name)
        width = _projected(folder, shape, width, name)
        files.append(weights)
    path = folder / "config_sentence_transformers.json"
    meta = read_settings(path) if path.is_file() else {}
    prompts = meta.get("prompts")
    prompts = prompts if isinstance(prompts, dict) else {}
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


def _dense(folder: Path, name: str) -> tuple[Path, tuple[int, ...]]:
    """Weight file of a Dense module that is a plain projection, and the projection's shape."""
    where = f"checkpoint {str(folder)!r}"
    if not (folder / name / "config.json").is_file():
        raise InputError(f"{where}: modules.json names {name}, but there is no {name}/config.json; fetch it again")
    config = read_settings(folder / name / "config.json")
    refuse_pickles(folder / name)
    weights = next((path for path in sorted((folder / name).glob(WEIGHTS)) if LINEAR in shapes_of(path)), None)
    if weights is None:
        raise InputError(f"{where}: {name} holds no {WEIGHTS} with {LINEAR}; fetch the folder again whole")
    activation = config.get("activation_function", IDENTITY)
    if config.get("bias") or config.get("use_residual") or activation != IDENTITY:
        raise InputError(
            f"{where}: {name} is more than a linear projection (bias {config.get('bias')}, "
            f"residual {config.get('use_residual')}, activation {activation}); only plain projections are read"
        )
    return weights, shapes_of(weights)[LINEAR]


def _dense_modules(folder: Path) -> tuple[str, ...]:
    """Folders of the Dense modules that ``modules.json`` names, in their order; none where one vector is pooled."""
    path = folder / "modules.json"
    if not path.is_file():
        return ()
    kinds = {place: name.rpartition(".")[2] for place, name in read_modules(path)}
    return () if "Pooling" in kinds.values() else tuple(place for place, kind in kinds.items() if kind == "Dense")


def check_rows(layout: Layout, pieces: int) -> None:
    """Raise ``InputError`` where the tokenizer is another model's, by its pieces and the embedding table's rows."""
    if not FEWEST_PIECES * layout.rows <= pieces <= layout.rows:
        raise InputError(
            f"checkpoint {str(layout.folder)!r}: its tokenizer has {pieces} pieces, but its embedding table "
            f"{layout.rows} rows; they do not belong together: give the tokenizer.json of these very weights"
        )
