"""Rows in one Arrow IPC file with a manifest, written once and read through a memory map.

The manifest is written last: a folder that has one is complete.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optical_ray.data.interface import BATCH_ROWS, BITEXT_SCHEMA, BitextDataset, Counts
from optical_ray.data.messages import listed
from optical_ray.study.files import read_json, write_json
from optical_ray.study.layout import MANIFEST_FILE
from optical_ray.types import InputError

ROWS_FILE = "rows.arrow"
RELEASE_AFTER = 128  # rows; each maps some hundred KiB of the file, which are then returned to the system


@dataclass(frozen=True)
class ShardManifest:
    """The contents of a shard; ``digest`` is the sha256 of its rows file, ``fingerprint`` that of its source."""

    rows: int
    digest: str
    schema: dict[str, str]
    fingerprint: str = ""
    language: str = ""
    licence: str = ""
    dropped: dict[str, int] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def write_shard(
    folder: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], describe: Mapping[str, Any] | None = None
) -> ShardManifest:
    """Write ``batches`` to ``folder`` and then its manifest; ``describe`` gives further fields of the manifest.

    ``describe`` is read after the last batch, so it may hold counts that reading fills. A complete shard is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{ROWS_FILE}.{uuid4().hex[:8]}"
    try:
        with open(temporary, "wb") as stream:
            sink = _DigestingSink(stream)
            rows = 0
            with pa.ipc.new_file(pa.PythonFile(sink, mode="w"), schema) as writer:
                for batch in _even_batches(batches, schema):
                    rows += len(batch)
                    writer.write_batch(batch)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, folder / ROWS_FILE)
    finally:
        temporary.unlink(missing_ok=True)
    manifest = ShardManifest(rows, sink.hexdigest(), {f.name: str(f.type) for f in schema}, **(describe or {}))
    write_json(folder / MANIFEST_FILE, asdict(manifest))
    return manifest


def write_bitext_shard(
    dataset: BitextDataset, language: str, folder: Path, fingerprint: str | None = None
) -> ShardManifest:
    """Write the pairs of ``dataset`` in ``language``; ``fingerprint`` saves computing that of the data set.

    Raises ``InputError`` if no pair is left.
    """
    counts = Counts()
    describe: dict[str, Any] = {"dropped": counts.dropped, "language": language, "licence": dataset.licence}
    describe["fingerprint"] = dataset.fingerprint() if fingerprint is None else fingerprint
    batches = dataset.batches(language, counts)
    manifest = write_shard(folder, BITEXT_SCHEMA, batches, describe)
    if manifest.rows == 0:
        (folder / MANIFEST_FILE).unlink()
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.dropped.items()) or "nothing was read"
        raise InputError(f"{dataset.kind}: no pair of language {language!r} is left ({reasons}); check the filter")
    return manifest


def read_manifest(folder: Path) -> ShardManifest | None:
    """Return the manifest of the shard in ``folder``, or None if it is not complete."""
    path = folder / MANIFEST_FILE
    return ShardManifest(**read_json(path)) if path.exists() and (folder / ROWS_FILE).exists() else None


class ShardReader:
    """The rows of one or several shards of one schema in sequence, without reading them into memory.

    ``take`` needs memory for the rows that it returns; mapped pages are returned to the system regularly. Many
    processes may open the same shard; threads must not share a reader.
    """

    def __init__(self, folders: Path | Sequence[Path]) -> None:
        self.folders = [folders] if isinstance(folders, Path) else list(folders)
        self.manifests = [_complete(folder) for folder in self.folders]
        self._maps = [_map(folder / ROWS_FILE) for folder in self.folders]
        self._files = [pa.ipc.open_file(pa.py_buffer(mapped)) for mapped in self._maps]
        if any(not file.schema.equals(self._files[0].schema) for file in self._files):
            raise InputError(f"shards: schemas differ among {listed(self.folders)}; prepare them again")
        self.schema: pa.Schema = self._files[0].schema
        self._batches = [(file, index) for file in self._files for index in range(file.num_record_batches)]
        sizes = [size for manifest in self.manifests for size in _batch_sizes(manifest.rows)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
        self._rows_read = 0

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: npt.NDArray[np.int64]) -> pa.Table:
        """Return the ``rows`` (any order, repeats allowed) as a table in that order.

        Raises ``IndexError`` for a row that does not exist.
        """
        if not len(rows):
            return self.schema.empty_table()
        if rows.min() < 0 or rows.max() >= len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} requested, got {len(self)}")
        order = np.argsort(rows, kind="stable")
        batch_of = np.searchsorted(self._starts, rows[order], side="right") - 1
        numbers, begins = np.unique(batch_of, return_index=True)
        parts = []
        for number, begin, end in zip(numbers, begins, [*begins[1:], len(rows)], strict=True):
            file, index = self._batches[number]
            parts.append(file.get_batch(index).take(pa.array(rows[order[begin:end]] - self._starts[number])))
            self._release(int(end - begin))
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        return pa.Table.from_batches(parts, schema=self.schema).combine_chunks().take(pa.array(back))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows in their order. Batches refer to the memory map: copy what must outlive the reader."""
        for file, index in self._batches:
            yield file.get_batch(index)
            self._release(RELEASE_AFTER)

    def _release(self, num_rows: int) -> None:
        self._rows_read += num_rows
        if self._rows_read >= RELEASE_AFTER:
            self._rows_read = 0
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)


class _DigestingSink:
    """A file to write to that computes the sha256 of its content."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.closed = False

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return int(self._stream.write(data))

    def tell(self) -> int:
        return int(self._stream.tell())

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.closed = True

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _even_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Cut and join ``batches`` so that all but the last have ``BATCH_ROWS`` rows, which tells a row's batch."""
    waiting: list[pa.RecordBatch] = []
    num_waiting = 0
    for batch in batches:
        while len(batch):
            part = batch.slice(0, BATCH_ROWS - num_waiting)
            batch = batch.slice(len(part))
            waiting.append(part)
            num_waiting += len(part)
            if num_waiting == BATCH_ROWS:
                yield _joined(waiting, schema)
                waiting, num_waiting = [], 0
    if waiting:
        yield _joined(waiting, schema)


def _joined(parts: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    return pa.Table.from_batches(parts, schema=schema).combine_chunks().to_batches()[0]


def _batch_sizes(rows: int) -> list[int]:
    return [BATCH_ROWS] * (rows // BATCH_ROWS) + ([rows % BATCH_ROWS] if rows % BATCH_ROWS else [])


def _complete(folder: Path) -> ShardManifest:
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"{folder}: no complete shard (no {MANIFEST_FILE}); prepare the study again")
    return manifest


def _map(path: Path) -> mmap.mmap:
    with open(path, "rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
