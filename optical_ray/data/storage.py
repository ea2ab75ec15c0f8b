"""File systems that data is read from: local paths and globs, URIs, and data sets of the Hugging Face hub."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow as pa
from pyarrow import fs

from optical_ray.data.archives import UNREADABLE
from optical_ray.types import InputError

BLOCK = 1 << 20
HUB = "hub:"
HUB_PATH = re.compile(r"hub:(?P<name>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?(?P<path>/.*)?")


def is_uri(path: str) -> bool:
    """Whether ``path`` is a URI such as ``s3://bucket/corpora``."""
    return "://" in path


def file_system(path: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of ``path`` and the path in it; raises ``InputError`` if it cannot be reached."""
    if path.startswith(HUB):
        return fs.LocalFileSystem(), hub_folder(path)
    if not is_uri(path):
        return fs.LocalFileSystem(), path
    try:
        system, inside = fs.FileSystem.from_uri(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, *UNREADABLE) as error:
        raise InputError(f"{path}: not a URI that can be read ({error})") from error
    return system, inside


def hub_folder(path: str) -> str:
    """Return the local path of ``hub:owner/name``, ``hub:owner/name@revision``, or a path or glob below either.

    The files are downloaded once into the hub's cache and then read without network. Files are read as the repository
    stores them (Parquet, JSONL, CSV, text); no script is run. A pinned revision never changes. Raises ``InputError``
    if the hub does not provide the data set.
    """
    match = HUB_PATH.fullmatch(path)
    if match is None:
        raise InputError(f"{path}: expected hub:owner/name, hub:owner/name@revision or a path below it")
    from huggingface_hub import snapshot_download  # its import takes seconds
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    below = (match["path"] or "").strip("/")
    patterns = None if not below else [below, f"{below}/**"]
    try:
        root = snapshot_download(
            match["name"], repo_type="dataset", revision=match["revision"], allow_patterns=patterns
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"{path}: the Hugging Face hub does not give this data set ({type(error).__name__}); check name and "
            "network, or download it elsewhere and give its folder as root"
        ) from error
    return f"{root}/{below}" if below else str(root)


def list_files(system: fs.FileSystem, path: str) -> list[tuple[str, str]]:
    """Return (full path, path relative to ``path``) of every file that ``path`` names; hidden files are left out.

    ``path`` is a file, a folder or a glob (``*``, ``?``, ``**``).
    """
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


def open_path(system: fs.FileSystem, path: str) -> IO[bytes]:
    """Open the file ``path`` of ``system`` for reading bytes."""
    if isinstance(system, fs.LocalFileSystem):
        return open(path, "rb")
    return io.BufferedReader(system.open_input_file(path))


def listing(folder: str) -> list[tuple[str, int, int]]:
    """Return the relative path, size (bytes) and time of change (ns) of every file below ``folder``, sorted.

    Raises ``InputError`` if the folder does not exist or is empty.
    """
    system, path = file_system(folder)
    try:
        files = [(relative, system.get_file_info(full)) for full, relative in list_files(system, path)]
    except UNREADABLE as error:
        raise InputError(f"{folder}: cannot be listed ({error})") from error
    if not files:
        raise InputError(f"{folder}: no such folder, or nothing in it; check the path")
    return sorted((relative, info.size, info.mtime_ns or 0) for relative, info in files)


def copy_folder(source: str, target: Path) -> None:
    """Copy the files below the folder ``source`` to ``target``; raises ``InputError`` if that fails."""
    system, path = file_system(source)
    try:
        for full, relative in list_files(system, path):
            copied = target / relative
            copied.parent.mkdir(parents=True, exist_ok=True)
            with open_path(system, full) as read, open(copied, "wb") as written:
                shutil.copyfileobj(read, written, BLOCK)
    except UNREADABLE as error:
        raise InputError(f"{source}: cannot be copied ({error})") from error


def _glob_pattern(glob: str) -> str:
    tokens = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return "".join(tokens.get(piece, re.escape(piece)) for piece in pieces)
