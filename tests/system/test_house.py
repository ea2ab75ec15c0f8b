"""The house is in order: lint, types, import contracts, where things lie, and every experiment can be planned."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from optical_ray.config.load import load
from optical_ray.data.interface import BitextDataset, CollectionDataset, RelevanceDataset
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.losses.interface import Loss
from optical_ray.metrics.interface import Metric
from optical_ray.ot.solvers.interface import Solver
from optical_ray.registry import members
from optical_ray.tracking.interface import TrackerConfig
from tests.system.tiny_corpora import write_corpora

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "optical_ray"
LONGEST = 350
EXAMPLE = re.compile(r"^\s*>>> ", re.MULTILINE)
COMMANDS = (
    "pip install -e . && optical-ray run experiments/quickstart.yaml",
    "pip install -e '.[test]' && pytest",
)
FOLDERS = {"optical_ray", "experiments", "tests", "dashboards", ".ci", ".github"}
FILES = {"pyproject.toml", "README.md", "LICENSE", "CONTRIBUTING.md", "CHANGELOG.md", "cluster.yaml"}
DOTFILES = {".gitignore", ".gitattributes", ".pre-commit-config.yaml"}
ROOMS = {
    "optical_ray.losses": (Loss,),
    "optical_ray.ot.solvers": (Solver,),
    "optical_ray.encoders": (EncoderConfig,),
    "optical_ray.metrics": (Metric,),
    "optical_ray.tracking.trackers": (TrackerConfig,),
    "optical_ray.data.datasets": (BitextDataset, CollectionDataset, RelevanceDataset),
}


def tracked() -> list[str]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    return listing.stdout.splitlines()


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["-m", "ruff", "check", "."], id="ruff"),
        pytest.param(["-m", "ruff", "format", "--check", "."], id="ruff-format"),
        pytest.param(["-m", "mypy"], id="mypy"),
        pytest.param(["-c", "from importlinter.cli import lint_imports_command as main; main()"], id="import-linter"),
    ],
)
def test_it_is_clean(command: list[str]) -> None:
    result = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_types_are_checked_strictly_and_everywhere() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["strict"] is True
    assert settings["files"] == ["optical_ray", "experiments"]
    loose = [path for path in sources(PACKAGE) if "# mypy: ignore-errors" in path.read_text(encoding="utf-8")]
    assert not loose


def test_every_example_in_a_docstring_is_run() -> None:
    pytest_settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert "--doctest-modules" in pytest_settings["addopts"]
    collected = [ROOT / place for place in pytest_settings["testpaths"]]
    with_examples = [path for path in sources(PACKAGE) if EXAMPLE.search(path.read_text(encoding="utf-8"))]
    assert with_examples
    forgotten = [path for path in with_examples if not any(place in (path, *path.parents) for place in collected)]
    assert not forgotten


def test_no_file_is_long() -> None:
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources(PACKAGE) + sources(ROOT / "tests")
    }
    assert not {str(path): length for path, length in lengths.items() if length > LONGEST}


def test_only_what_belongs_there_lies_at_the_top() -> None:
    paths = tracked()
    assert {path.partition("/")[0] for path in paths if "/" in path} <= FOLDERS
    assert {path for path in paths if "/" not in path} <= FILES | DOTFILES


def test_no_module_is_named_after_nothing() -> None:
    names = {path.stem for path in sources(PACKAGE)}
    assert not names & {"utils", "util", "helpers", "common", "manager", "misc", "base"}


def test_tests_mirror_the_tree() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir()} | {"contracts", "recipes", "system"}
    mirrored = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert mirrored <= rooms


@pytest.mark.parametrize("room", ROOMS)
def test_members_of_a_room_do_not_know_each_other(room: str) -> None:
    modules = {member.__module__ for kind in ROOMS[room] for member in members(room, kind).values()}
    assert len(modules) > 1
    for module in modules:
        tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        assert not imported & (modules - {module}), module


@pytest.mark.parametrize("spec", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_corner_of_an_experiment_is_valid(spec: Path, tmp_path: Path) -> None:
    experiment = load(spec, environment=write_corpora(tmp_path))  # load checks every corner
    for block in experiment.data.collections.values():
        for split in ("eval", "test"):
            assert block.load(split).topics
    for bitext in experiment.data.bitext.values():
        assert bitext.languages()


def test_readme_and_ci_give_the_two_commands() -> None:
    readme, ci = ROOT / "README.md", ROOT / ".ci" / "run"
    for command in COMMANDS:
        assert command in readme.read_text(encoding="utf-8")
    assert COMMANDS[1] in ci.read_text(encoding="utf-8")
