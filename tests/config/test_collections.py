"""Collections are read from one block or from a whole spec."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from optical_ray.config.collections import read_collections
from optical_ray.types import InputError
from tests import tiny_study


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(tiny_study.spec(tiny_study.write_data(tmp_path / "data"))))
    return path


def test_a_spec_gives_all_its_collections_and_a_block_gives_one(spec: Path, tmp_path: Path) -> None:
    collections = read_collections(spec)
    assert set(collections) == set(tiny_study.TARGETS)
    block = tmp_path / "block.yaml"
    block.write_text(yaml.safe_dump(yaml.safe_load(spec.read_text())["data"]["collections"]["sw"]))
    assert read_collections(block) == {"sw": collections["sw"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "not YAML"),
        ("[1]", "no collection"),
        ("name: x", "no collection"),
        ("{kind: nonsense}", "nonsense"),
    ],
)
def test_other_files_are_refused_with_their_path(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"^{path}: .*{message}"):
        read_collections(path)
