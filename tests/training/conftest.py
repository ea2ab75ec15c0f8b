"""A place for a trial's files."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a trial's files go."""
    return tmp_path / "trial"
