"""Reads the collections of a YAML file, which may be a spec or a single collection."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from optical_ray.config.choices import CollectionChoice
from optical_ray.config.load import read_text
from optical_ray.config.names import TargetName
from optical_ray.config.yaml_text import parse_yaml
from optical_ray.data.interface import CollectionDataset
from optical_ray.types import InputError


def read_collections(path: Path) -> dict[str, CollectionDataset]:
    """Read one collection (a block with a ``kind``), or all collections of a study's spec, by target.

    Raises ``InputError`` if the file is not a YAML file, or if a collection in it is not valid.
    """
    raw = parse_yaml(read_text(path), str(path))
    data = raw.get("data") if isinstance(raw, dict) else None
    if isinstance(raw, dict) and "kind" in raw:
        blocks, names = {str(raw.get("language", path.stem)): raw}, TypeAdapter(str)
    elif isinstance(data, dict) and isinstance(data.get("collections"), dict) and data["collections"]:
        blocks, names = data["collections"], TypeAdapter(TargetName)
    else:
        raise InputError(
            f"{path}: no collection (expected a block {{kind: ...}}, or a spec with data.collections). "
            "Give the spec of a study, or one entry of its data.collections."
        )
    adapter: TypeAdapter[CollectionDataset] = TypeAdapter(CollectionChoice)
    try:
        return {names.validate_python(name): adapter.validate_python(block) for name, block in blocks.items()}
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in (path, ".".join(map(str, first["loc"]))) if str(part))
        raise InputError(f"{where}{first['msg'].removeprefix('Value error, ')}") from error
