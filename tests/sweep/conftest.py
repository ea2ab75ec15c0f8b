"""The tiny study with a search of the test's own, and its ledger, without any cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import from_dict
from optical_ray.study.files import write_json
from optical_ray.study.records import Ledger
from tests.tiny_study import spec

Make = Callable[..., Experiment]


@pytest.fixture
def make(experiment: Experiment) -> Make:
    """The tiny study over the session's data; blocks replaced by name."""
    root = Path(experiment.data.bitext["made"].root or "")  # type: ignore[attr-defined]

    def made(**blocks: Any) -> Experiment:
        return from_dict(spec(root.parent, **blocks))

    return made


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Of a study that was just begun."""
    write_json(tmp_path / "study.json", {"name": "tiny"})
    return Ledger.open(tmp_path)
