"""Students to export: XLM-R and BERT with every convention, with a different embedding for every piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.export.interface import Student
from tests.export.students import CONVENTIONS, KINDS, student_of


@pytest.fixture(params=[f"{kind}-{name}" for kind in KINDS for name in CONVENTIONS])
def student(request: pytest.FixtureRequest, tmp_path: Path) -> Student:
    kind, _, name = request.param.partition("-")
    return student_of(tmp_path, kind, name)


@pytest.fixture
def plain(tmp_path: Path) -> Student:
    return student_of(tmp_path, "xlmr", "pieces")
