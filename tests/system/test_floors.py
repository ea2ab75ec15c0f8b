"""The table of floors in CONTRIBUTING.md is true: every room, its floor, and the external packages that it imports."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "optical_ray"
ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| [^|]+ \| ([^|]*)\|$", re.MULTILINE)


@dataclass(frozen=True)
class Room:
    floor: int
    external: frozenset[str]


@pytest.fixture(scope="module")
def rooms() -> dict[str, Room]:
    rows = ROW.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len({name for _, name, _ in rows}) == len(rows), "a room has two rows"
    return {
        name: Room(int(floor), frozenset(part.strip() for part in external.split(",") if part.strip()))
        for floor, name, external in rows
    }


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, include_external_packages=True, cache_dir=None)


def external_imports(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """The external packages that each room imports directly; the package's own ``__init__`` is the room ``""``."""
    imports: dict[str, set[str]] = {}
    for module in graph.modules:
        package, _, rest = module.partition(".")
        if package == PACKAGE:
            imported = {name.partition(".")[0] for name in graph.find_modules_directly_imported_by(module)}
            imports.setdefault(rest.partition(".")[0], set()).update(imported - sys.stdlib_module_names - {PACKAGE})
    return imports


def test_every_room_is_in_the_table(rooms: dict[str, Room], graph: grimp.ImportGraph) -> None:
    assert set(rooms) == {child.removeprefix(f"{PACKAGE}.") for child in graph.find_children(PACKAGE)}


def test_the_floors_are_those_of_the_contract(rooms: dict[str, Room]) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    floors = {name: floor for floor, layer in enumerate(reversed(layers), start=1) for name in re.split(r"\W+", layer)}
    assert {name: room.floor for name, room in rooms.items()} == floors


def test_a_room_imports_only_the_external_packages_of_its_row(rooms: dict[str, Room], graph: grimp.ImportGraph) -> None:
    allowed = {name: room.external for name, room in rooms.items()} | {"": frozenset()}
    excess = {room: imported - allowed[room] for room, imported in external_imports(graph).items()}
    assert not {room: packages for room, packages in excess.items() if packages}


def test_a_row_names_no_package_that_its_room_does_not_import(rooms: dict[str, Room], graph: grimp.ImportGraph) -> None:
    imports = external_imports(graph)
    assert not {name: room.external - imports[name] for name, room in rooms.items() if room.external - imports[name]}
