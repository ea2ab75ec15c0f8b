"""Data sets of the Hugging Face hub as folders: downloaded once into the hub's cache, found there without network."""

from __future__ import annotations

import re

from optical_ray.types import InputError

HUB = "hub:"
PLACE = re.compile(r"hub:(?P<name>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?(?P<path>/.*)?")


def hub_folder(place: str) -> str:
    """The local path of ``hub:owner/name``, ``hub:owner/name@revision`` or a path (also a glob) below either.

    Files are read as they lie in the repository (Parquet, JSONL, CSV, text; scripts are never run). A pinned revision
    is the same data for ever. Raises ``InputError`` where the hub does not give it.
    """
    match = PLACE.fullmatch(place)
    if match is None:
        raise InputError(f"{place}: expected hub:owner/name, hub:owner/name@revision or a path below it")
    from huggingface_hub import snapshot_download  # seconds to import
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    path = (match["path"] or "").strip("/")
    wanted = None if not path else [path, f"{path}/**"]
    try:
        root = snapshot_download(match["name"], repo_type="dataset", revision=match["revision"], allow_patterns=wanted)
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"{place}: the Hugging Face hub does not give this data set ({type(error).__name__}); check name and "
            "network, or download it elsewhere and give its folder as root"
        ) from error
    return f"{root}/{path}" if path else str(root)
