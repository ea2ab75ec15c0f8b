"""Checkpoints behind a URI, copied into the cache once, and checks that need their files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from optical_ray.config.key import digest
from optical_ray.config.trial import TrialConfig, widths_differ
from optical_ray.data.storage import copy_folder, is_uri, listing
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.prepare.cache import Cache
from optical_ray.types import InputError


def local(encoder: EncoderConfig, cache: Cache) -> EncoderConfig:
    """Return ``encoder`` with a local checkpoint; it is copied again if the files behind the URI have changed.

    Raises ``InputError`` if the URI cannot be read.
    """
    uri = encoder.checkpoint
    if uri is None or not is_uri(uri):
        return encoder
    files = listing(uri)

    def build(folder: Path) -> dict[str, object]:
        copy_folder(uri, folder)
        return {"uri": uri, "files": len(files)}

    original: Any = encoder
    copied: EncoderConfig = replace(original, checkpoint=str(cache.entry("checkpoint", digest([uri, files]), build)))
    return copied


def local_encoders(trial: TrialConfig, cache: Cache) -> tuple[EncoderConfig, EncoderConfig]:
    """Return the teacher and the student's initial encoder, with local checkpoints.

    Raises ``InputError`` if the widths of their vectors differ: for a URI or hub name only the files state them.
    """
    teacher = local(trial.teacher, cache)
    if trial.student.init == "teacher":
        return teacher, teacher
    init = local(trial.student.init, cache)
    widths = _width("trial.teacher", teacher), _width("trial.student.init", init)
    if widths[0] != widths[1]:
        raise InputError(f"trial.{widths_differ(*widths)}")
    return teacher, init


def _width(where: str, encoder: EncoderConfig) -> int:
    """Width of the vectors, for which a hub name is downloaded."""
    try:
        return encoder.width()
    except InputError as error:
        raise InputError(f"{where}.{error}") from error
