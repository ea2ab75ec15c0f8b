"""The tables that are shipped with the package, and their digests."""

from __future__ import annotations

from importlib.resources import files

import pyarrow as pa
import pyarrow.parquet as pq

from optical_ray.data.digests import digest_stream


def read_bundled(name: str, columns: list[str] | None = None) -> pa.Table:
    """Read the bundled table ``name`` (without ``.parquet``), or some ``columns`` of it."""
    with (files("optical_ray.data") / "bundled" / f"{name}.parquet").open("rb") as stream:
        return pq.read_table(stream, columns=columns)


def bundled_digest(name: str) -> str:
    """Return the sha256 (hex) of the bundled table ``name``."""
    with (files("optical_ray.data") / "bundled" / f"{name}.parquet").open("rb") as stream:
        return digest_stream(stream)
