"""The files of a checkpoint's folder: safetensors by their headers, JSON by its shape; pickles are never opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from optical_ray.study.files import read_json
from optical_ray.types import InputError

WEIGHTS = "*.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.dnn", "*.pkl")


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a file's tensors; only its header is read."""
    try:
        with safe_open(path, framework="pt") as stream:
            return {name: tuple(stream.get_slice(name).get_shape()) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error


def shapes_in(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of all weight files in ``folder``."""
    return {name: shape for path in sorted(folder.glob(WEIGHTS)) for name, shape in shapes_of(path).items()}


def refuse_pickles(folder: Path) -> None:
    """Raise ``InputError`` where ``folder`` has no safetensors, but pickled weights."""
    pickled = sorted({path.name for pattern in PICKLES for path in folder.glob(pattern)})
    if pickled and not any(folder.glob(WEIGHTS)):
        raise InputError(
            f"checkpoint {str(folder)!r}: lacks {WEIGHTS} (found: {', '.join(pickled)}): pickled weights are "
            "refused, since reading a pickle runs whatever code it holds; where you trust it, "
            "model.save_pretrained(folder) writes model.safetensors: give that folder"
        )


def read_settings(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; raises ``InputError`` for anything else."""
    value = _read(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(value).__name__}; is the download whole?")
    return value


def read_modules(path: Path) -> list[tuple[str, str]]:
    """Folder and class of the modules that a ``modules.json`` lists, in their order; ``InputError`` for other JSON."""
    modules = _read(path)
    if not isinstance(modules, list):
        raise InputError(f"{path}: expected a list of modules, got {type(modules).__name__}; is the download whole?")
    found = [_module(path, place, module) for place, module in enumerate(modules)]
    return [(folder, name) for _, folder, name in sorted(found)]


def _module(path: Path, place: int, module: Any) -> tuple[int, str, str]:
    """Place (that in the list, where it says none), folder and class of a module."""
    fields = module if isinstance(module, dict) else {}
    index, folder, name = fields.get("idx", place), fields.get("path"), fields.get("type")
    if not (isinstance(index, int) and isinstance(folder, str) and isinstance(name, str)):
        raise InputError(
            f"{path}: expected modules with idx, path and type, got {str(module)[:80]}; is the download whole?"
        )
    return index, folder, name


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable JSON ({error})") from error
