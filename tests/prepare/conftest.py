"""A storage and the tiny study's data, by which preparation is tested without any worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.load import check_corners, from_dict
from tests.tiny_study import spec, write_data

Make = Callable[..., Experiment]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the tiny study's data."""
    return write_data(tmp_path / "data")


@pytest.fixture
def make(data: Path) -> Make:
    """The tiny study, ``settings`` at dotted paths of its raw spec."""

    def made(settings: dict[str, Any] | None = None) -> Experiment:
        raw = spec(data)
        for path, value in (settings or {}).items():
            *parents, last = path.split(".")
            node = raw
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = value
        experiment = from_dict(raw)
        check_corners(experiment)
        return experiment

    return made
