"""A cache that all studies of a storage share, with one folder per digest."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from optical_ray.study.files import flush_folder, new_folder, write_json
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
        fill_entry(folder, build)
        return folder


def is_complete(folder: Path) -> bool:
    """Whether the cache entry ``folder`` is complete: its manifest is written last."""
    return (folder / MANIFEST_FILE).is_file()


def publish(temporary: Path, folder: Path, manifest: dict[str, object]) -> None:
    """Turn the filled folder ``temporary`` into the cache entry ``folder``, unless another process was faster."""
    write_json(temporary / MANIFEST_FILE, manifest)
    flush_folder(temporary)
    if not is_complete(folder):
        shutil.rmtree(folder, ignore_errors=True)  # without a manifest: copied or deleted in part by hand
        try:
            temporary.rename(folder)
        except OSError:
            if not is_complete(folder):
                raise
    shutil.rmtree(temporary, ignore_errors=True)


def fill_entry(folder: Path, build: Callable[[Path], dict[str, object]]) -> None:
    """Build the cache entry ``folder`` with ``build``, unless it is complete."""
    if is_complete(folder):
        return
    if folder.exists():  # without a manifest: copied or deleted in part by hand
        logger.warning("%s: incomplete, built again", folder)
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(FileExistsError), new_folder(folder) as temporary:
        write_json(temporary / MANIFEST_FILE, build(temporary))
