"""Checkpoints behind a URI: copied into the cache once, read from there as any folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from optical_ray.config.key import digest
from optical_ray.data.input_files import copy_folder, is_uri, listing
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.prepare.cache import Cache


def local(encoder: EncoderConfig, cache: Cache) -> EncoderConfig:
    """``encoder`` with its checkpoint on this machine; copied again where the files behind the URI have changed.

    Raises ``InputError`` where the URI cannot be read.
    """
    place = getattr(encoder, "checkpoint", "")
    if not is_uri(place):
        return encoder
    files = listing(place)

    def build(folder: Path) -> dict[str, object]:
        copy_folder(place, folder)
        return {"uri": place, "files": len(files)}

    copied: Any = encoder
    found: EncoderConfig = replace(copied, checkpoint=str(cache.entry("checkpoint", digest([place, files]), build)))
    return found
