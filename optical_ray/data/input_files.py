"""Where the bytes of a data set lie: a file, a folder, a glob or an archive, on this machine or behind a URI."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow as pa
from pyarrow import fs

from optical_ray.data.digests import BLOCK, digest_stream
from optical_ray.data.hub import HUB, hub_folder
from optical_ray.types import InputError

UNREADABLE = (
    *(OSError, EOFError, RuntimeError, NotImplementedError, ValueError, zlib.error, lzma.LZMAError),
    *(zipfile.BadZipFile, tarfile.TarError),
)
"""What the standard library raises on a broken or missing file."""

COMPRESSIONS = (".gz", ".xz", ".zst", ".bz2")
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class InputFile:
    """One file to read. ``name`` is what messages call it; ``relative`` is its path below the place that was given."""

    name: str
    relative: str
    open_raw: Callable[[], IO[bytes]]

    @property
    def base(self) -> str:
        """The last part of the path, without the suffix of a compression."""
        base = PurePosixPath(self.relative).name
        return base[: base.rindex(".")] if base.endswith(COMPRESSIONS) else base

    def open(self) -> IO[bytes]:
        """Open for reading bytes, decompressed; raises ``InputError`` where that fails."""
        try:
            raw = self.open_raw()
            if self.relative.endswith(".gz"):
                return io.BufferedReader(gzip.GzipFile(fileobj=raw))
            if self.relative.endswith(".xz"):
                return io.BufferedReader(lzma.LZMAFile(raw))
            if self.relative.endswith(".bz2"):
                return io.BufferedReader(bz2.BZ2File(raw))
            if self.relative.endswith(".zst"):
                return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"))
            return raw
        except UNREADABLE as error:
            raise InputError(f"{self.name}: cannot be opened ({error})") from error

    def digest(self) -> str:
        """Return the sha256 (hex) of the file as it is stored."""
        try:
            with self.open_raw() as stream:
                return digest_stream(stream)
        except UNREADABLE as error:
            raise InputError(f"{self.name}: cannot be read ({error})") from error


def find_files(place: str) -> list[InputFile]:
    """Return the files of ``place`` in an order that never changes, archives opened.

    ``place`` is a file, a folder (all files below it; hidden ones are left out), a glob (``*``, ``?``, ``**``) or an
    archive, as a path, a URI such as ``s3://bucket/corpora``, or in a data set of the Hugging Face hub
    (``hub:owner/name``, see ``data.hub``). Raises ``InputError`` where nothing is there, or an
    archive is broken or holds a path that leads out of it.
    """
    system, path = _file_system(place)
    try:
        found = _list(system, path)
    except UNREADABLE as error:
        raise InputError(f"{place}: cannot be listed ({error})") from error
    if not found:
        raise InputError(f"{place}: no such file or folder, or nothing in it; check the path")
    root = place[: len(place) - len(path)] if place.endswith(path) else ""
    files: list[InputFile] = []
    for full, relative in found:
        name = root + full
        if full.endswith(ARCHIVES):
            files += _members(name, relative, partial(_open, system, full))
        else:
            files.append(InputFile(name, relative, partial(_open, system, full)))
    return sorted(files, key=lambda file: file.relative)


def find_file(place: str) -> InputFile:
    """Return the one file that lies at ``place``; raises ``InputError`` where there is none or there are several."""
    files = find_files(place)
    if not files:
        raise InputError(f"{place}: the archive holds no file; is it whole? Name another one")
    if len(files) > 1:
        raise InputError(f"{place}: expected one file, found {len(files)} (first {files[0].name}); name one of them")
    return files[0]


def is_uri(place: str) -> bool:
    """Whether ``place`` says how it is reached, such as ``s3://bucket/corpora``."""
    return "://" in place


def listing(place: str) -> list[tuple[str, int, int]]:
    """Path below the folder ``place``, size and time of change (ns) of every file, sorted: what changes when it does.

    Raises ``InputError`` where nothing is there.
    """
    system, path = _file_system(place)
    try:
        found = [(relative, system.get_file_info(full)) for full, relative in _list(system, path)]
    except UNREADABLE as error:
        raise InputError(f"{place}: cannot be listed ({error})") from error
    if not found:
        raise InputError(f"{place}: no such folder, or nothing in it; check the path")
    return sorted((relative, info.size, info.mtime_ns or 0) for relative, info in found)


def copy_folder(place: str, folder: Path) -> None:
    """Copy the files of the folder ``place`` to ``folder``; raises ``InputError`` where that fails."""
    system, path = _file_system(place)
    try:
        for full, relative in _list(system, path):
            copied = folder / relative
            copied.parent.mkdir(parents=True, exist_ok=True)
            with _open(system, full) as source, open(copied, "wb") as target:
                shutil.copyfileobj(source, target, BLOCK)
    except UNREADABLE as error:
        raise InputError(f"{place}: cannot be copied ({error})") from error


def _file_system(place: str) -> tuple[fs.FileSystem, str]:
    if place.startswith(HUB):
        return fs.LocalFileSystem(), hub_folder(place)
    if not is_uri(place):
        return fs.LocalFileSystem(), place
    try:
        system, path = fs.FileSystem.from_uri(place)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, *UNREADABLE) as error:
        raise InputError(f"{place}: not a URI that can be read ({error})") from error
    return system, path


def _list(system: fs.FileSystem, path: str) -> list[tuple[str, str]]:
    """Return (full path, path below the given place) of every file that ``path`` names."""
    path = path.rstrip("/") or path
    wildcard = re.search(r"[*?]", path)
    if wildcard is None:
        info = system.get_file_info(path)
        if info.type == fs.FileType.File:
            return [(path, PurePosixPath(path).name)]
        if info.type == fs.FileType.NotFound:
            return []
    folder = path if wildcard is None else path[: path.rfind("/", 0, wildcard.start()) + 1] or "."
    below = fs.FileSelector(folder, recursive=True, allow_not_found=True)
    prefix = folder.rstrip("/") + "/"
    accepted = re.compile(".*" if wildcard is None else _glob_pattern(path[0 if folder == "." else len(folder) :]))
    listed = ((info.path, info.path.removeprefix(prefix)) for info in system.get_file_info(below) if info.is_file)
    return [
        (full, relative)
        for full, relative in listed
        if accepted.fullmatch(relative) and not any(part.startswith(".") for part in relative.split("/"))
    ]


def _glob_pattern(glob: str) -> str:
    tokens = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return "".join(tokens.get(piece, re.escape(piece)) for piece in pieces)


def _open(system: fs.FileSystem, path: str) -> IO[bytes]:
    if isinstance(system, fs.LocalFileSystem):
        return open(path, "rb")
    return io.BufferedReader(system.open_input_file(path))


def _members(name: str, relative: str, open_archive: Callable[[], IO[bytes]]) -> list[InputFile]:
    inside = _names_in_zip(name, open_archive) if name.endswith(".zip") else _names_in_tar(name, open_archive)
    for member in inside:
        if member.startswith("/") or "\\" in member or ".." in PurePosixPath(member).parts:
            raise InputError(f"{name}: holds the path {member!r}, which leads out of the archive; refused")
    opener = _open_zip_member if name.endswith(".zip") else _open_tar_member
    return [
        InputFile(f"{name}!{member}", f"{relative}!/{member}", partial(opener, open_archive, member))
        for member in inside
        if not any(part.startswith(".") for part in member.removeprefix("./").split("/"))
    ]


def _names_in_zip(name: str, open_archive: Callable[[], IO[bytes]]) -> list[str]:
    try:
        with open_archive() as raw, zipfile.ZipFile(raw) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]
    except UNREADABLE as error:
        raise InputError(f"{name}: the archive cannot be read ({error}); fetch it again") from error


def _names_in_tar(name: str, open_archive: Callable[[], IO[bytes]]) -> list[str]:
    """A tar has no list of its members: it is read to its end, and one that was cut off is found here."""
    consumed, names = 0, list[str]()
    try:
        with open_archive() as raw:
            try:
                with tarfile.open(fileobj=raw) as archive:
                    for member in archive:
                        if member.isfile():
                            names.append(member.name)
            finally:
                consumed = min(raw.tell(), raw.seek(0, io.SEEK_END))  # a seek may have gone beyond the end
    except UNREADABLE as error:
        last = f", in {names[-1]!r} or behind it" if names else ""
        raise InputError(
            f"{name}: the archive cannot be read further after byte {consumed}{last} ({error}); it is damaged or was "
            "cut off, fetch it again"
        ) from error
    return names


def _open_zip_member(open_archive: Callable[[], IO[bytes]], member: str) -> IO[bytes]:
    return zipfile.ZipFile(open_archive()).open(member)


def _open_tar_member(open_archive: Callable[[], IO[bytes]], member: str) -> IO[bytes]:
    archive = tarfile.open(fileobj=open_archive())  # noqa: SIM115 - lives as long as the member's stream
    stream = archive.extractfile(member)
    if stream is None:
        raise OSError("not a plain file")
    return stream
