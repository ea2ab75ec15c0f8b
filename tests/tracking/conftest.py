"""A small study, and an MLflow store for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from optical_ray.study.records import Ledger
from tests.tracking.written_study import write_study


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Ledger]:
    """Writes a study into a storage of its own."""

    def make(name: str = "small", steps: int = 40) -> Ledger:
        return write_study(tmp_path / name, steps)

    return make
