"""A new MLflow database; MLflow needs seconds to create its tables, so it is created once and then copied."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from optical_ray.study.layout import StorageFolder
from optical_ray.tracking.mlflow.store import connect


def write_empty_store(storage: Path) -> None:
    """Write the default database of ``storage``."""
    StorageFolder(storage).mlflow_database.write_bytes(_database())


@functools.cache
def _database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        connect(f"sqlite:///{path}").search_experiments()
        return path.read_bytes()
