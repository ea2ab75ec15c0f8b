"""The tiny study with a search of the test's own, and its ledger, without any cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import from_dict
from optical_ray.prepare.text import Preparation
from optical_ray.study.records import Ledger
from optical_ray.sweep.open_study import OpenStudy
from tests.tiny_study import spec
from tests.toy_info import write_toy_info

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
    """The ledger of a study without trials."""
    write_toy_info(tmp_path)
    return Ledger.open(tmp_path)


@pytest.fixture
def opened(make: Make, prepared: Preparation, ledger: Ledger) -> Callable[..., OpenStudy]:
    """The study whose spec has these blocks, with the ledger of the test."""
    return lambda **blocks: OpenStudy(make(**blocks), prepared, ledger)
