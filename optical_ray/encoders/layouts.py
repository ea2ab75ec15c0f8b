"""Recognises which program wrote an encoder's folder, from its files only; no code in the folder is ever run.

Known are a student of this program (``encoder.json``), a PyLate folder (``modules.json`` with a Dense module), a
Stanford ColBERT or PLAID-X folder (``linear.weight`` among the encoder's weights) and a plain Hugging Face encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from optical_ray.encoders.checkpoint_files import (
    CONFIG,
    ENCODER,
    MODEL,
    TOKENIZER,
    WEIGHTS,
    names_in,
    read_modules,
    read_settings,
    refuse_pickles,
    shapes_in,
    shapes_of,
)
from optical_ray.encoders.tokenizer import MARKERS, Role
from optical_ray.types import InputError

PARTS = (CONFIG, TOKENIZER, WEIGHTS)
EXTRAS = (ENCODER, "modules.json", "config_sentence_transformers.json", "artifact.metadata")
DENSE = ("*_Dense/config.json", "*_Dense/*.safetensors")
KNOWN = (
    f"a student of this program ({ENCODER}), a PyLate folder (modules.json with a Dense module), a Stanford ColBERT or "
    f"PLAID-X folder ({CONFIG}, {MODEL} with linear.weight, artifact.metadata) or a Hugging Face encoder ({CONFIG}, "
    f"{TOKENIZER}, {MODEL})"
)
LINEAR = "linear.weight"
IDENTITY = "torch.nn.modules.linear.Identity"
TABLES = ("embeddings.word_embeddings.weight", "embeddings.tok_embeddings.weight")
"""Names of the embedding table: BERT's and ModernBERT's."""
POSITIONS = "embeddings.position_embeddings.weight"
AFTER_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet")
"""Model types whose first position is the padding id plus one."""

FEWEST_PIECES = 0.9
"""Smallest share of an embedding table's rows that a tokenizer uses: tables are padded to round numbers at most."""


@dataclass(frozen=True)
class Layout:
    """A folder whose layout is known.

    ``prefix`` precedes the backbone's tensor names. ``projection`` lists files with a tensor ``projection_name``, which
    are applied in turn; ``dim`` is the width after them, ``None`` without a projection. ``hidden`` is the backbone's
    width, ``rows`` the number of rows of its embedding table, ``longest`` the number of pieces it has positions for.
    ``markers`` is the folder's spelling of the markers, empty without markers. ``digested`` are patterns of files that
    the vectors depend on, in addition to ``PARTS``.
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
        """The folder's projections as one matrix in float32, or ``None`` without a projection."""
        weight: Tensor | None = None
        for path in self.projection:
            with safe_open(path, framework="pt") as stream:
                step = stream.get_tensor(self.projection_name).float()
            weight = step if weight is None else step @ weight
        return weight

    def backbone_weights(self) -> dict[str, Tensor]:
        """The backbone's tensors by their names in transformers, without pooling heads."""
        tensors: dict[str, Tensor] = {}
        for path in sorted(self.folder.glob(WEIGHTS)):
            with safe_open(path, framework="pt") as stream:
                for name in stream.keys():  # noqa: SIM118 - it is no mapping
                    if name.startswith(self.prefix) and name != self.projection_name:
                        tensors[name.removeprefix(self.prefix)] = stream.get_tensor(name)
        return {name: value for name, value in tensors.items() if not name.startswith("pooler.")}


def recognise(folder: Path) -> Layout:
    """The layout of ``folder``.

    Raises ``InputError`` if the layout is unknown, if the weights are pickled, or if the model needs its own code.
    """
    missing = [part for part in PARTS if not any(folder.glob(part))]
    if missing:
        refuse_pickles(folder)
        raise InputError(
            f"checkpoint {str(folder)!r}: unknown layout, it lacks {', '.join(missing)} (found: {names_in(folder)}). "
            f"Give {KNOWN}."
        )
    names = shapes_in(folder)
    plain = _plain(folder, read_settings(folder / CONFIG), names)
    if (folder / ENCODER).is_file():
        return _own(plain, names)
    if LINEAR in names:
        return _colbert(plain, names)
    dense = _dense_modules(folder)
    return _pylate(plain, dense) if dense else plain


def _plain(folder: Path, config: Mapping[str, Any], names: Mapping[str, tuple[int, ...]]) -> Layout:
    """The encoder without a projection; checks that its embedding table has the shape in ``config``."""
    hidden = config.get("hidden_size")
    tables = [name for name in names if name.endswith(TABLES)]
    where = f"checkpoint {str(folder)!r}"
    if config.get("auto_map") and not tables:
        raise InputError(f"{where}: needs its own Python code (auto_map), which is never run. Give another model.")
    if not isinstance(hidden, int) or not tables:
        raise InputError(
            f"{where}: not an encoder like BERT or XLM-R (got {config.get('model_type', 'no model_type')}, expected "
            f"hidden_size in {CONFIG} and a tensor *{TABLES[0]}). Give {KNOWN}."
        )
    rows, columns = names[tables[0]]
    width = "embedding_size" if config.get("embedding_size") else "hidden_size"
    for name, expected, got in (("vocab_size", config.get("vocab_size"), rows), (width, config[width], columns)):
        if expected not in (None, got):
            raise InputError(
                f"{where}: {CONFIG} has {name} {expected}, but {tables[0]} has {rows} rows of {columns} numbers. "
                f"Give the {CONFIG} of these weights."
            )
    prefix = tables[0].partition("embeddings.")[0]
    layers = config.get("num_hidden_layers")
    return Layout(
        "hugging face", folder, hidden, rows, prefix, longest=_longest(config, names.get(prefix + POSITIONS)),
        layers=layers if isinstance(layers, int) else None,
    )  # fmt: skip


def _longest(config: Mapping[str, Any], positions: tuple[int, ...] | None) -> int | None:
    """Number of pieces that have a position, or ``None`` if the model has no table of positions."""
    if positions is None:
        return None
    padding = config.get("pad_token_id")
    begin = (padding if isinstance(padding, int) else 1) + 1
    return positions[0] - (begin if config.get("model_type") in AFTER_PADDING else 0)


def _own(plain: Layout, names: Mapping[str, tuple[int, ...]]) -> Layout:
    folder = plain.folder
    settings = read_settings(folder / ENCODER)
    shape = names.get("projection.weight")
    markers = settings.get("markers")
    return replace(
        plain, name="optical_ray", projection=tuple(folder.glob(WEIGHTS)) if shape else (),
        projection_name="projection.weight", dim=_projected(folder, shape, plain.hidden) if shape else None,
        digested=(ENCODER,),
        markers=markers if isinstance(markers, dict) else dict(MARKERS) if markers else {},
    )  # fmt: skip


def _colbert(plain: Layout, names: Mapping[str, tuple[int, ...]]) -> Layout:
    folder = plain.folder
    path = folder / "artifact.metadata"
    settings = read_settings(path) if path.is_file() else {}
    nested = settings.get("config")
    settings = nested if isinstance(nested, dict) else settings
    weights = tuple(path for path in folder.glob(WEIGHTS) if LINEAR in shapes_of(path))
    return replace(
        plain, name="colbert", projection=weights, dim=_projected(folder, names[LINEAR], plain.hidden),
        digested=("artifact.metadata",),
        markers={
            "query": settings.get("query_token_id") or "[unused0]",
            "document": settings.get("doc_token_id") or "[unused1]",
        },
    )  # fmt: skip


def _projected(folder: Path, shape: tuple[int, ...], width: int, name: str = "the projection") -> int:
    """Output width of a projection of this shape; raises ``InputError`` if its input width is not ``width``."""
    if len(shape) != 2 or shape[1] != width:
        raise InputError(
            f"checkpoint {str(folder)!r}: {name} does not fit the encoder (got input width {shape[-1]}, expected "
            f"{width}). Give encoder and projection of one model."
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
    settings = read_settings(path) if path.is_file() else {}
    prompts = settings.get("prompts")
    prompts = prompts if isinstance(prompts, dict) else {}
    spellings: dict[Role, str] = {
        "query": settings.get("query_prefix", prompts.get("query")) or "",
        "document": settings.get("document_prefix", prompts.get("document")) or "",
    }
    markers = {role: piece for role, piece in spellings.items() if piece}
    if len(markers) == 1:
        raise InputError(
            f"checkpoint {str(folder)!r}: one marker is missing (got {markers}, expected both or neither of query and "
            f"document). Correct {path.name}."
        )
    return replace(
        plain, name="pylate", projection=tuple(files), dim=width, markers=markers,
        digested=("config_sentence_transformers.json", *DENSE),
    )  # fmt: skip


def _dense(folder: Path, name: str) -> tuple[Path, tuple[int, ...]]:
    """Weight file and projection shape of a Dense module; raises ``InputError`` if it is more than a projection."""
    where = f"checkpoint {str(folder)!r}"
    if not (folder / name / CONFIG).is_file():
        raise InputError(f"{where}: modules.json names {name}, but {name}/{CONFIG} is missing. Fetch the folder again.")
    config = read_settings(folder / name / CONFIG)
    refuse_pickles(folder / name)
    weights = next((path for path in sorted((folder / name).glob(WEIGHTS)) if LINEAR in shapes_of(path)), None)
    if weights is None:
        raise InputError(f"{where}: {name} has no {WEIGHTS} with {LINEAR}. Fetch the folder again.")
    activation = config.get("activation_function", IDENTITY)
    if config.get("bias") or config.get("use_residual") or activation != IDENTITY:
        raise InputError(
            f"{where}: {name} is not a linear projection (got bias {config.get('bias')}, residual "
            f"{config.get('use_residual')}, activation {activation}; expected none of them). Give another model."
        )
    return weights, shapes_of(weights)[LINEAR]


def _dense_modules(folder: Path) -> tuple[str, ...]:
    """Folders of the Dense modules in ``modules.json``, in order; empty for a model that pools its tokens."""
    path = folder / "modules.json"
    if not path.is_file():
        return ()
    kinds = {module: name.rpartition(".")[2] for module, name in read_modules(path)}
    return () if "Pooling" in kinds.values() else tuple(module for module, kind in kinds.items() if kind == "Dense")


def check_rows(layout: Layout, pieces: int) -> None:
    """Raise ``InputError`` if a tokenizer of that many ``pieces`` does not fit the embedding table."""
    if not FEWEST_PIECES * layout.rows <= pieces <= layout.rows:
        raise InputError(
            f"checkpoint {str(layout.folder)!r}: tokenizer and weights are of different models (the tokenizer has "
            f"{pieces} pieces, the embedding table {layout.rows} rows). Give the {TOKENIZER} of these weights."
        )
