"""Everything that is computed once: a folder for each digest, shared by all studies of a storage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from optical_ray.study.files import write_json

MANIFEST = "manifest.json"


class Cache:
    """``<storage>/cache/<kind>-<digest>/``; an entry with a manifest is whole and never changes."""

    def __init__(self, root: Path):
        self.root = root

    def folder(self, kind: str, digest: str) -> Path:
        """Where the entry lies or will lie."""
        return self.root / f"{kind}-{digest}"

    def has(self, kind: str, digest: str) -> bool:
        """Whether the entry is whole."""
        return (self.folder(kind, digest) / MANIFEST).is_file()

    def entry(self, kind: str, digest: str, build: Callable[[Path], dict[str, object]]) -> Path:
        """The entry's folder; where it is not there, ``build`` fills it and returns its manifest.

        It is built beside and renamed, so that a crash leaves nothing half and two builders don't meet.
        """
        folder = self.folder(kind, digest)
        if self.has(kind, digest):
            return folder
        self.root.mkdir(parents=True, exist_ok=True)
        beside = self.root / f".{folder.name}.{uuid4().hex[:8]}"
        beside.mkdir()
        try:
            write_json(beside / MANIFEST, build(beside))
            self._place(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return folder

    def _place(self, beside: Path, folder: Path) -> None:
        try:
            beside.rename(folder)
        except OSError:
            if not (folder / MANIFEST).is_file():  # what lies there was never finished
                shutil.rmtree(folder)
                beside.rename(folder)
