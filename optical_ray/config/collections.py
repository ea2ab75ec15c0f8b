"""Reads the collections of a YAML file that is not necessarily a whole spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from optical_ray.config.choices import CollectionChoice
from optical_ray.data.interface import CollectionDataset
from optical_ray.types import InputError


def read_collections(path: Path) -> dict[str, CollectionDataset]:
    """Read one collection (a block with a ``kind``), or all collections of a study's spec, by target.

    Raises ``InputError`` if the file is not a YAML file, or if a collection in it is not valid.
    """
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable YAML file ({str(error)[:300]})") from error
    if isinstance(raw, dict) and "kind" in raw:
        blocks = {str(raw.get("language", path.stem)): raw}
    elif isinstance(raw, dict) and isinstance(raw.get("data"), dict) and raw["data"].get("collections"):
        blocks = raw["data"]["collections"]
    else:
        raise InputError(
            f"{path}: no collection (expected a block {{kind: ...}}, or a spec with data.collections). "
            "Give the spec of a study, or one entry of its data.collections."
        )
    adapter: TypeAdapter[CollectionDataset] = TypeAdapter(CollectionChoice)
    try:
        return {name: adapter.validate_python(block) for name, block in blocks.items()}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from error
