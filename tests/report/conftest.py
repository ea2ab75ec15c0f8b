"""Planted studies that the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.report import ReportResult, write_report
from tests.report.planted import Planted, write_study

EFFECTS = {
    "de": {"sw": 0.0, "mr": 0.01, "yo": 0.0},
    "hi": {"sw": 0.03, "mr": 0.08, "yo": 0.0},
    "mr": {"sw": 0.0, "mr": 0.15, "yo": 0.0},
}


def write_lattice(folder: Path) -> None:
    """A full lattice over three languages, two epsilons, three seeds, all extras."""
    planted = Planted(EFFECTS, epsilons=(0.1, 0.3), epsilon_gains=(0.0, -0.02), num_topics=60, seed_sd=0.005)
    write_study(folder, planted, controls=True, curves=True, texts=True)


def write_quick(folder: Path) -> None:
    """A search with holes: five configurations, one seed, no controls, no texts."""
    sets = [("de",), ("hi",), ("mr",), ("de", "hi"), ("de", "hi", "mr")]
    write_study(folder, Planted(EFFECTS, sets=sets, num_seeds=1, num_topics=40), mode="optimise")


@pytest.fixture
def lattice(tmp_path: Path) -> Path:
    """A complete study that a test may change."""
    write_lattice(tmp_path / "lattice")
    return tmp_path / "lattice"


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A small, incomplete study that a test may change."""
    write_quick(tmp_path / "quick")
    return tmp_path / "quick"


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReportResult]:
    """One report of each kind, to be read only."""
    folder = tmp_path_factory.mktemp("reports")
    write_lattice(folder / "lattice")
    write_quick(folder / "quick")
    return {name: write_report(folder / name) for name in ("lattice", "quick")}
