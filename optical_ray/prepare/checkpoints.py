"""Checkpoints behind a URI: copied into the cache once, read from there as any folder; and what only files tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from optical_ray.config.key import digest
from optical_ray.config.trial import TrialConfig, widths_differ
from optical_ray.data.input_files import copy_folder, is_uri, listing
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.prepare.cache import Cache
from optical_ray.types import InputError


def local(encoder: EncoderConfig, cache: Cache) -> EncoderConfig:
    """``encoder`` with its checkpoint on this machine; copied again where the files behind the URI have changed.

    Raises ``InputError`` where the URI cannot be read.
    """
    place = encoder.checkpoint
    if place is None or not is_uri(place):
        return encoder
    files = listing(place)

    def build(folder: Path) -> dict[str, object]:
        copy_folder(place, folder)
        return {"uri": place, "files": len(files)}

    copied: Any = encoder
    found: EncoderConfig = replace(copied, checkpoint=str(cache.entry("checkpoint", digest([place, files]), build)))
    return found


def local_encoders(trial: TrialConfig, cache: Cache) -> tuple[EncoderConfig, EncoderConfig]:
    """The teacher and what the student starts as, their checkpoints on this machine.

    Raises ``InputError`` where their vectors have different widths: of a URI or a hub name only its files tell.
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
