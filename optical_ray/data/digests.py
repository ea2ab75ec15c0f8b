"""Digests of data: of its bytes and of the settings that change what is read from them, never of where it lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

BLOCK = 1 << 20


def digest_stream(stream: IO[bytes]) -> str:
    """Return the sha256 (hex) of what is left in ``stream``."""
    digest = hashlib.sha256()
    while block := stream.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def fingerprint(settings: Mapping[str, Any], digests: Iterable[str]) -> str:
    """Return one sha256 (hex) over the ``settings`` (JSON values, in any order) and the ``digests``, in this order."""
    canonical = json.dumps([dict(settings), list(digests)], sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
