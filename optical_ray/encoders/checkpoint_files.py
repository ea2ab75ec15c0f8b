"""The files of a checkpoint's folder: their names, safetensors by their headers, JSON by its shape.

Pickled weights are never opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from optical_ray.study.files import read_json
from optical_ray.types import InputError

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
MODEL = "model.safetensors"
ENCODER = "encoder.json"
"""What late interaction adds to a Hugging Face encoder; written last, so that its presence means a complete folder."""

WEIGHTS = "*.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.dnn", "*.pkl")


def has_checkpoint(folder: Path) -> bool:
    """Whether ``folder`` holds a complete encoder that ``encoders.checkpoint.save`` wrote."""
    return (folder / ENCODER).is_file()


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a file's tensors by name; only the header is read."""
    try:
        with safe_open(path, framework="pt") as stream:
            return {name: tuple(stream.get_slice(name).get_shape()) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a readable safetensors file ({str(error)[:200]}). Fetch the checkpoint again."
        ) from error


def shapes_in(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of all weight files in ``folder``, by name."""
    return {name: shape for path in sorted(folder.glob(WEIGHTS)) for name, shape in shapes_of(path).items()}


def refuse_pickles(folder: Path) -> None:
    """Raise ``InputError`` if ``folder`` has pickled weights and no safetensors."""
    pickled = sorted({path.name for pattern in PICKLES for path in folder.glob(pattern)})
    if pickled and not any(folder.glob(WEIGHTS)):
        raise InputError(
            f"checkpoint {str(folder)!r}: only pickled weights (got {_listed(pickled)}, expected {WEIGHTS}). They are "
            "not read, because reading a pickle runs the code in it. If you trust the file, load it with transformers "
            "and write it again with model.save_pretrained(folder)."
        )


def read_settings(path: Path) -> dict[str, Any]:
    """Read the JSON object in ``path``; raises ``InputError`` for any other content."""
    value = _read(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: wrong JSON (got {type(value).__name__}, expected an object). Fetch the file again.")
    return value


def read_modules(path: Path) -> list[tuple[str, str]]:
    """Read folder and class of the modules in a ``modules.json``, in order; raises ``InputError`` for other JSON."""
    modules = _read(path)
    if not isinstance(modules, list):
        raise InputError(
            f"{path}: wrong JSON (got {type(modules).__name__}, expected a list of modules). Fetch the file again."
        )
    ordered = sorted(_module(path, position, module) for position, module in enumerate(modules))
    return [(folder, name) for _, folder, name in ordered]


def _module(path: Path, position: int, module: Any) -> tuple[int, str, str]:
    """Index (by default the position in the list), folder and class of a module."""
    fields = module if isinstance(module, dict) else {}
    index, folder, name = fields.get("idx", position), fields.get("path"), fields.get("type")
    if not (isinstance(index, int) and isinstance(folder, str) and isinstance(name, str)):
        raise InputError(
            f"{path}: wrong module (got {str(module)[:80]}, expected idx, path and type). Fetch the file again."
        )
    return index, folder, name


def names_in(folder: Path) -> str:
    """The names of the files in ``folder`` for an error message, at most twenty."""
    return _listed(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"


def _listed(names: list[str], most: int = 20) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + rest) or "an empty folder"


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable JSON ({str(error)[:200]}). Fetch the file again.") from error
