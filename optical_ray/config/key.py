"""A trial's key: the digest of everything that can change its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from pydantic import BaseModel

KEY_DIGITS = 12


def canonical(value: Any) -> Any:
    """Return ``value`` as plain JSON types, with every field.

    A field that was added to a config after its first release carries ``metadata={"since": N}`` (dataclass) or
    ``json_schema_extra={"since": N}`` (pydantic): it is left out if it has its default, so that keys of older studies
    do not change.
    Raises ``TypeError`` for a value without an exact JSON form.
    """
    if isinstance(value, BaseModel):
        return {
            name: canonical(getattr(value, name))
            for name, info in type(value).model_fields.items()
            if not (
                isinstance(info.json_schema_extra, dict)
                and "since" in info.json_schema_extra
                and getattr(value, name) == info.get_default(call_default_factory=True)
            )
        }
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: canonical(getattr(value, f.name))
            for f in fields(value)
            if not ("since" in f.metadata and getattr(value, f.name) == _default(f))
        }
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"no canonical form for {type(value).__name__}: {value!r}")


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def trial_key(trial: Any, seed: int, *, digests: Mapping[str, Any], dropped: Mapping[str, Any]) -> str:
    """Return the key of the student of ``trial`` (a ``TrialConfig``) and ``seed``.

    ``digests`` identify the teacher, the student's initial weights and the bitext, in place of the blocks that describe
    them; ``dropped`` identifies the pairs that are left out because they contain evaluation text.
    """
    config = canonical(trial)
    config["teacher"] = config["teacher_training"] = None
    config["student"] = {**config["student"], "init": digests["init"]}
    content = {**digests, "leaks": dropped} if dropped else digests
    return digest({"trial": config, "digests": content, "seed": seed})


def digest(value: Any, digits: int = KEY_DIGITS) -> str:
    """Return the first ``digits`` hexadecimal digits of the SHA-256 of the canonical JSON."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
