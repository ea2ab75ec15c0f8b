"""A cache that all studies of a storage share, with one folder per digest."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from optical_ray.study.files import flush_folder, write_json
from optical_ray.study.layout import MANIFEST_FILE

logger = logging.getLogger(__name__)


class Cache:
    """``<storage>/cache/<kind>-<digest>/``. An entry with a manifest is complete and never changes."""

    def __init__(self, root: Path):
        self.root = root

    def folder(self, kind: str, digest: str) -> Path:
        """Where the entry is, or will be, stored."""
        return self.root / f"{kind}-{digest}"

    def has(self, kind: str, digest: str) -> bool:
        """Whether the entry is complete."""
        return is_complete(self.folder(kind, digest))

    def entry(self, kind: str, digest: str, build: Callable[[Path], dict[str, object]]) -> Path:
        """The entry's folder. If it does not exist, ``build`` fills a temporary folder and returns its manifest.

        Several processes may build the same entry at once: the first that is finished wins, and the others use its
        entry. A crash leaves no incomplete entry.
        """
        folder = self.folder(kind, digest)
        if is_complete(folder):
            return folder
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
        temporary.mkdir()
        try:
            publish(temporary, folder, build(temporary))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder


def is_complete(folder: Path) -> bool:
    """Whether the cache entry ``folder`` is complete: its manifest is written last."""
    return (folder / MANIFEST_FILE).is_file()


def publish(temporary: Path, folder: Path, manifest: dict[str, object]) -> None:
    """Rename the filled folder ``temporary`` to the cache entry ``folder``; a complete entry there is kept instead.

    ``temporary`` is on the same file system and does not exist afterwards.
    """
    write_json(temporary / MANIFEST_FILE, manifest)
    flush_folder(temporary)
    try:
        _rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if is_complete(folder):  # another process was faster
            return
        if not folder.exists():
            raise
        logger.warning("%s: incomplete (copied or deleted in part), replaced", folder)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
