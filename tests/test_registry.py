"""Members of a room are found by walking it."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from optical_ray.registry import AnyOf, members

BASE = """
    from abc import ABC

    class Shape(ABC):
        pass
"""
MEMBER = """
    from dataclasses import dataclass
    from {room}.interface import Shape

    @dataclass(frozen=True)
    class {name}(Shape):
        kind: str = {kind!r}
"""


class Room:
    """A package in a temporary folder."""

    def __init__(self, folder: Path, name: str):
        self.name, self.folder = name, folder / name
        self.folder.mkdir()
        (self.folder / "__init__.py").touch()
        self.write("interface", BASE)

    def write(self, module: str, source: str) -> None:
        (self.folder / f"{module}.py").write_text(dedent(source))

    def add(self, module: str, name: str, kind: str) -> None:
        self.write(module, MEMBER.format(room=self.name, name=name, kind=kind))

    def members(self) -> dict[str, type[Any]]:
        __import__(f"{self.name}.interface")
        return members(self.name, sys.modules[f"{self.name}.interface"].Shape)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Room:
    monkeypatch.syspath_prepend(tmp_path)
    return Room(tmp_path, f"room_of_{request.node.name}")


def test_a_new_file_is_a_new_member(room: Room) -> None:
    room.add("square", "Square", "square")
    room.add("circle", "Circle", "circle")
    found = room.members()
    assert list(found) == ["circle", "square"]
    assert found["circle"].__name__ == "Circle"


def test_what_is_imported_or_no_dataclass_or_without_kind_is_no_member(room: Room) -> None:
    room.add("square", "Square", "square")
    room.write("again", f"from {room.name}.square import Square")
    room.write("plain", f"from {room.name}.interface import Shape\n\nclass Plain(Shape):\n    kind = 'plain'\n")
    room.add("abstract", "Abstract", "abstract")
    source = (room.folder / "abstract.py").read_text().replace("kind: str = 'abstract'", "size: int = 3")
    room.write("abstract", source)
    assert list(room.members()) == ["square"]


def test_one_kind_has_one_member(room: Room) -> None:
    room.add("square", "Square", "square")
    room.add("other", "Other", "square")
    with pytest.raises(RuntimeError, match=r"'square' is used by .*(Square|Other).*(Square|Other)"):
        room.members()


def test_a_field_can_hold_any_member(room: Room) -> None:
    room.add("square", "Square", "square")
    room.add("circle", "Circle", "circle")
    found = room.members()
    base = sys.modules[f"{room.name}.interface"].Shape
    adapter = TypeAdapter(Annotated[base, AnyOf(room.name, base, without=("circle",))])
    assert adapter.validate_python({"kind": "square"}) == found["square"]()
    with pytest.raises(ValidationError, match=r"'circle' found using 'kind' does not match .* 'square'"):
        adapter.validate_python({"kind": "circle"})
