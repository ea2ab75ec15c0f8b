"""Planted studies that the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.planted import Planted, write_study

EFFECTS = {
    "de": {"sw": 0.0, "mr": 0.01, "yo": 0.0},
    "hi": {"sw": 0.03, "mr": 0.08, "yo": 0.0},
    "mr": {"sw": 0.0, "mr": 0.15, "yo": 0.0},
}


@pytest.fixture
def lattice(tmp_path: Path) -> Path:
    """A full lattice over three languages, two epsilons, three seeds, all extras."""
    planted = Planted(EFFECTS, epsilons=(0.1, 0.3), epsilon_gains=(0.0, -0.02), num_topics=60, seed_sd=0.005)
    write_study(tmp_path / "lattice", planted, controls=True, curves=True, texts=True)
    return tmp_path / "lattice"


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A search with holes: five configurations, one seed, no controls, no texts."""
    sets = [("de",), ("hi",), ("mr",), ("de", "hi"), ("de", "hi", "mr")]
    write_study(tmp_path / "quick", Planted(EFFECTS, sets=sets, num_seeds=1, num_topics=40), mode="optimise")
    return tmp_path / "quick"
