"""The tiny study, prepared once for the tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import from_dict
from optical_ray.prepare.study import Prepared
from tests import tiny_study


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Two collections, three source languages, eight steps."""
    return from_dict(tiny_study.spec(tiny_study.write_data(tmp_path_factory.mktemp("data") / "tiny")))


@pytest.fixture(scope="session")
def prepared(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Its teacher, pieces and embeddings."""
    return tiny_study.prepare(experiment, tmp_path_factory.mktemp("storage"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a trial's files go."""
    return tmp_path / "trial"
