"""A small valid spec over the bundled data, and how it is written to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def raw() -> dict[str, Any]:
    """A spec as YAML gives it; a test may change it."""
    return {
        "name": "small",
        "seed": 3,
        "data": {
            "bitext": {"cldr": {"kind": "cldr_annotations"}},
            "collections": {
                "sw": {"kind": "cldr_annotations", "language": "sw"},
                "so": {"kind": "cldr_annotations", "language": "so"},
            },
            "relevance": {"en": {"kind": "cldr_annotations"}},
        },
        "trial": {
            "teacher": {"kind": "scratch", "layers": 1, "hidden": 32, "heads": 2, "vocabulary": 500},
            "teacher_training": {"data": ["en"], "steps": 5},
            "data": {"bitext": ["cldr"], "source_languages": ["de"], "batch_size": 8},
        },
        "space": {
            "data.source_languages": {"kind": "subset", "of": ["de", "hi", "mr"], "max_size": 2},
            "loss.solver.epsilon": {"kind": "float", "low": 0.05, "high": 0.5, "log": True},
        },
        "search": {"num_trials": 4},
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a spec to a file and gives its path."""

    def write(content: Any) -> Path:
        path = tmp_path / "spec.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return path

    return write
