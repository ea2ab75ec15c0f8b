"""Names that a spec gives to its data, targets and baselines."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from optical_ray.data.languages import YAML_SPELLING

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAME_RULE = "at most 100 letters, digits, '.', '_' and '-', beginning with a letter or digit"
MEAN = "mean"
"""What metric names call the mean over all targets."""


def quoted(value: Any) -> str:
    """``value`` as a string in YAML, e.g. ``"no"`` for false."""
    text = YAML_SPELLING[value] if value is None or isinstance(value, bool) else value
    return f'"{str(text)[:40]}"'


def check_name(noun: str, value: Any) -> str:
    """Return ``value``; raises ``ValueError`` unless it is a string that is not blank."""
    if not isinstance(value, str):
        raise ValueError(f"{noun} must be a string, got {str(value)[:40]}. Quote it in YAML: {quoted(value)}.")
    if not value.strip():
        raise ValueError(f"{noun} must not be empty, got {value[:40]!r}. Give it a name or leave it out.")
    return value


def check_file_name(noun: str, value: Any) -> str:
    """Return ``value``; raises ``ValueError`` unless it is a string that can be part of a file's name."""
    name = check_name(noun, value)
    if not NAME.fullmatch(name):
        raise ValueError(f"{noun} is used for files: expected {NAME_RULE}, got {name[:40]!r}. Rename it.")
    return name


def _check_target(value: Any) -> str:
    name = check_file_name("a target's name", value)
    if name == MEAN:
        raise ValueError(f"{MEAN!r} means the mean over all targets in metric names. Rename the target.")
    return name


DatasetName = Annotated[str, BeforeValidator(lambda value: check_name("a dataset's name", value))]
TargetName = Annotated[str, BeforeValidator(_check_target)]
