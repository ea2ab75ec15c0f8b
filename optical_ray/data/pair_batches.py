"""Sentence pairs as Arrow batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import pyarrow as pa

from optical_ray.data.interface import BITEXT_SCHEMA, Counts

BATCH_ROWS = 8192


def pair_batches(pairs: Iterable[tuple[str, str, str]], counts: Counts) -> Iterator[pa.RecordBatch]:
    """Gather ``(id, pivot, foreign)`` into batches of ``BITEXT_SCHEMA``, counting every pair as kept."""
    remaining = iter(pairs)
    while rows := list(islice(remaining, BATCH_ROWS)):
        counts.kept += len(rows)
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=BITEXT_SCHEMA)
