"""The package's metadata, its continuous integration and the pre-commit hooks agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
HOOKS: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())


def package(requirement: str) -> str:
    """The name of the required package, in lower case."""
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()


def test_the_workflow_runs_the_readmes_command_on_every_supported_python() -> None:
    job = WORKFLOW["jobs"]["tests"]
    versions = [line.rpartition(":: ")[2] for line in PROJECT["classifiers"] if ":: 3." in line]
    assert job["strategy"]["matrix"]["python"] == versions
    assert PROJECT["requires-python"] == f">={versions[0]}"
    [command] = [step["run"] for step in job["steps"] if "run" in step]
    assert command == "pip install -e '.[test]' && pytest"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lowest_versions_are_tested_on_the_lowest_python() -> None:
    job = WORKFLOW["jobs"]["lowest-versions"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert any("--resolution lowest-direct" in command and "'.[test]'" in command for command in commands)
    [version] = [step["with"]["python-version"] for step in job["steps"] if "with" in step]
    assert PROJECT["requires-python"] == f">={version}"


def test_every_requirement_has_a_lower_bound() -> None:
    requirements = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
    unbounded = [line for line in requirements if ">=" not in line and package(line) != PROJECT["name"]]
    assert not unbounded


def test_the_test_extra_contains_the_linters_and_every_optional_part_that_tests_need() -> None:
    [own] = [line for line in EXTRAS["test"] if package(line) == PROJECT["name"]]
    assert set(own.partition("[")[2].rstrip("]").split(",")) == {"lora", "bm25", "gpu", "lint"}
    assert set(EXTRAS) == {"lora", "bm25", "ir-datasets", "gpu", "lint", "test", "dev"}


def test_commits_are_checked_by_the_linters_of_the_environment() -> None:
    [repository] = HOOKS["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    entries = {hook["entry"] for hook in repository["hooks"]}
    assert entries == {"ruff check --fix", "ruff format", "mypy", "lint-imports"}


def test_the_changelog_has_a_section_for_the_version() -> None:
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
