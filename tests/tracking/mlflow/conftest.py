"""A small study whose storage has an empty MLflow store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optical_ray.study.records import Ledger
from tests.tracking.empty_store import write_empty_store


@pytest.fixture
def ledger(make_study: Any, tmp_path: Path) -> Ledger:
    """A small study, and an empty store in its storage."""
    write_empty_store(tmp_path)
    study: Ledger = make_study()
    return study
