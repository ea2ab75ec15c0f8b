"""The files inside zip and tar archives."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any

from optical_ray.types import InputError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")

UNREADABLE = (
    *(OSError, EOFError, RuntimeError, NotImplementedError, ValueError, zlib.error, lzma.LZMAError),
    *(zipfile.BadZipFile, tarfile.TarError),
)
"""What the standard library raises on a broken or missing file."""

Opener = Callable[[], IO[bytes]]


class OwningReader(io.BufferedReader):
    """Reads ``stream`` and, when it is closed, also closes ``below``.

    ``below`` holds the streams and archives that ``stream`` reads from; gzip, zipfile and tarfile leave theirs open.
    """

    def __init__(self, stream: Any, below: ExitStack) -> None:
        super().__init__(stream)
        self._below = below

    def close(self) -> None:
        """Close the stream and what it reads from."""
        try:
            super().close()
        finally:
            self._below.close()


def archive_members(name: str, open_archive: Opener) -> list[tuple[str, Opener]]:
    """Return the path of every file of the archive ``name`` and a function that opens it; hidden files are left out.

    Raises ``InputError`` if the archive is broken or holds a path that leads out of it.
    """
    is_zip = name.endswith(".zip")
    members = _names_in_zip(name, open_archive) if is_zip else _names_in_tar(name, open_archive)
    for member in members:
        if member.startswith("/") or "\\" in member or ".." in PurePosixPath(member).parts:
            raise InputError(f"{name}: holds the path {member[:200]!r}, which leads out of the archive; refused")
    opener = _open_zip_member if is_zip else _open_tar_member
    return [
        (member, partial(opener, open_archive, member))
        for member in members
        if not any(part.startswith(".") for part in member.removeprefix("./").split("/"))
    ]


def _names_in_zip(name: str, open_archive: Opener) -> list[str]:
    try:
        with open_archive() as raw, zipfile.ZipFile(raw) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]
    except UNREADABLE as error:
        raise InputError(f"{name}: the archive cannot be read ({error}); fetch it again") from error


def _names_in_tar(name: str, open_archive: Opener) -> list[str]:
    """A tar has no index: it is read to its end, which also finds one that was cut off."""
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
        last = f", in {names[-1]!r} or after it" if names else ""
        raise InputError(
            f"{name}: the archive cannot be read further after byte {consumed}{last} ({error}); it is damaged or was "
            "cut off, fetch it again"
        ) from error
    return names


def _open_zip_member(open_archive: Opener, member: str) -> IO[bytes]:
    with ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(stack.enter_context(open_archive())))
        return OwningReader(archive.open(member), stack.pop_all())


def _open_tar_member(open_archive: Opener, member: str) -> IO[bytes]:
    with ExitStack() as stack:
        archive = stack.enter_context(tarfile.open(fileobj=stack.enter_context(open_archive())))
        stream = archive.extractfile(member)
        if stream is None:
            raise OSError("not a plain file")
        return OwningReader(stream, stack.pop_all())
