"""Run code with a recipe added to a package of ``optical_ray``, without changing the package on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECIPES = Path(__file__).parent

ADD_TO_PACKAGE = """
import importlib
importlib.import_module({package!r}).__path__.append({folder!r})
"""


def run_with_recipe(recipe: str, package: str, arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python *arguments`` in a process where ``package`` also contains the file ``tests/recipes/<recipe>``.

    ``folder`` is a temporary folder. The module is named ``recipe_<name>``, so that it cannot hide a real one.
    """
    (folder / "package").mkdir()
    shutil.copy(RECIPES / recipe, folder / "package" / f"recipe_{recipe}")
    setup = ADD_TO_PACKAGE.format(package=package, folder=str(folder / "package"))
    (folder / "sitecustomize.py").write_text(setup, encoding="utf-8")
    paths = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def run_contract(recipe: str, package: str, contract: str, kind: str, folder: Path) -> int:
    """Run the tests of ``contract`` for ``kind``, require that they pass, and return their number."""
    path = f"tests/contracts/{contract}"
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", kind, path]
    result = run_with_recipe(recipe, package, arguments, folder)
    assert result.returncode == 0, result.stdout + result.stderr
    words = result.stdout.splitlines()[-1].split()
    return int(words[words.index("passed") - 1] if "passed" in words else words[words.index("passed,") - 1])
