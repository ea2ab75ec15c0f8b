"""The files of a data set: found in a folder, a glob or an archive, and opened decompressed."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from collections.abc import Callable, Hashable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, TypeVar

import pyarrow as pa

from optical_ray.data.archives import ARCHIVES, UNREADABLE, OwningReader, archive_members
from optical_ray.data.messages import listed
from optical_ray.data.storage import BLOCK, file_system, list_files, open_path
from optical_ray.types import InputError

DECOMPRESSORS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw),
    ".xz": lzma.LZMAFile,
    ".bz2": bz2.BZ2File,
    ".zst": lambda raw: pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"),
}
COMPRESSIONS = tuple(DECOMPRESSORS)
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class InputFile:
    """One file to read. Messages call it ``name``; ``relative`` is its path below the path that was searched."""

    name: str
    relative: str
    open_raw: Callable[[], IO[bytes]]

    @property
    def base(self) -> str:
        """The last part of the path, without the suffix of a compression."""
        base = PurePosixPath(self.relative).name
        return base[: base.rindex(".")] if base.endswith(COMPRESSIONS) else base

    def open(self) -> IO[bytes]:
        """Open for reading decompressed bytes; raises ``InputError`` if that fails."""
        try:
            with ExitStack() as stack:
                raw = stack.enter_context(self.open_raw())
                decompress = next((made for end, made in DECOMPRESSORS.items() if self.relative.endswith(end)), None)
                if decompress is None:
                    stack.pop_all()
                    return raw
                return OwningReader(decompress(raw), stack.pop_all())
        except UNREADABLE as error:
            raise InputError(f"{self.name}: cannot be opened ({error})") from error

    def digest(self) -> str:
        """Return the sha256 (hex) of the stored file."""
        try:
            with self.open_raw() as stream:
                return digest_stream(stream)
        except UNREADABLE as error:
            raise InputError(f"{self.name}: cannot be read ({error})") from error


def find_files(path: str) -> list[InputFile]:
    """Return the files that ``path`` names, archives opened, sorted by their relative path.

    ``path`` is a file, a folder (all files below it except hidden ones), a glob (``*``, ``?``, ``**``) or an archive:
    local, behind a URI such as ``s3://bucket/corpora``, or in a data set of the Hugging Face hub
    (``hub:owner/name``, see ``storage.hub_folder``). Raises ``InputError`` if there is no such file, or if an archive
    is broken or holds a path that leads out of it.
    """
    system, inside = file_system(path)
    try:
        entries = list_files(system, inside)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be listed ({error})") from error
    if not entries:
        raise InputError(f"{path}: no such file or folder, or nothing in it; check the path")
    root = path[: len(path) - len(inside)] if path.endswith(inside) else ""
    files: list[InputFile] = []
    for full, relative in entries:
        name, opener = root + full, partial(open_path, system, full)
        if full.endswith(ARCHIVES):
            members = archive_members(name, opener)
            files += [InputFile(f"{name}!{member}", f"{relative}!/{member}", opened) for member, opened in members]
        else:
            files.append(InputFile(name, relative, opener))
    return sorted(files, key=lambda file: file.relative)


def find_file(path: str) -> InputFile:
    """Return the one file that ``path`` names; raises ``InputError`` if it names none or several."""
    files = find_files(path)
    if not files:
        raise InputError(f"{path}: the archive holds no file; check that it is complete, or name another one")
    if len(files) > 1:
        raise InputError(
            f"{path}: expected one file, got {len(files)} ({listed(file.name for file in files)}); name one of them"
        )
    return files[0]


def files_by_key(files: Iterable[tuple[Key, InputFile]]) -> dict[Key, InputFile]:
    """Return ``(key, file)`` pairs as a dictionary; raises ``InputError`` if two files have the same key.

    The key is what a data set's layout reads from a file's name, such as the language and the split.
    """
    result: dict[Key, InputFile] = {}
    for key, file in files:
        if key in result:
            raise InputError(
                f"{result[key].name}: found twice: this file and {file.name}; name one of the folders that hold them "
                "as root, or remove one of the files"
            )
        result[key] = file
    return result


def digest_stream(stream: IO[bytes]) -> str:
    """Return the sha256 (hex) of the rest of ``stream``."""
    digest = hashlib.sha256()
    while block := stream.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()
