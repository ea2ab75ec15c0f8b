"""An entry is whole or not there, however many build it and whatever becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.prepare.cache import Cache
from optical_ray.study.files import read_json
from optical_ray.study.layout import MANIFEST_FILE


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def write(text: str) -> object:
    def build(folder: Path) -> dict[str, object]:
        (folder / "content").write_text(text)
        return {"size": len(text)}

    return build


def test_an_entry_is_built_once(cache: Cache) -> None:
    assert not cache.has("pieces", "abc")
    folder = cache.entry("pieces", "abc", write("first"))  # type: ignore[arg-type]
    assert folder == cache.folder("pieces", "abc")
    assert read_json(folder / MANIFEST_FILE)["size"] == 5
    again = cache.entry("pieces", "abc", write("second"))  # type: ignore[arg-type]
    assert (again / "content").read_text() == "first"
    assert [path.name for path in cache.root.iterdir()] == [folder.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_builder_that_fails_leaves_nothing(cache: Cache, error: type[BaseException]) -> None:
    def fails(folder: Path) -> dict[str, object]:
        (folder / "content").write_text("half")
        raise error

    with pytest.raises(error):
        cache.entry("pieces", "abc", fails)
    assert not cache.has("pieces", "abc")
    assert list(cache.root.iterdir()) == []
    assert (cache.entry("pieces", "abc", write("whole")) / "content").read_text() == "whole"  # type: ignore[arg-type]


def test_what_a_killed_builder_left_is_replaced(cache: Cache) -> None:
    half = cache.folder("pieces", "abc")
    half.mkdir(parents=True)
    (half / "content").write_text("half")
    assert not cache.has("pieces", "abc")
    folder = cache.entry("pieces", "abc", write("whole"))  # type: ignore[arg-type]
    assert (folder / "content").read_text() == "whole"


def test_of_two_builders_the_first_to_end_is_kept(cache: Cache) -> None:
    def overtaken(folder: Path) -> dict[str, object]:
        cache.entry("pieces", "abc", write("quick"))  # type: ignore[arg-type]
        (folder / "content").write_text("slow")
        return {}

    folder = cache.entry("pieces", "abc", overtaken)
    assert (folder / "content").read_text() == "quick"
    assert [path.name for path in cache.root.iterdir()] == [folder.name]
