"""Several launchers share one cache: each of its entries is complete or absent, also after a kill."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from optical_ray.prepare.cache import is_complete
from tests import tiny_study

ROOT = Path(__file__).resolve().parents[2]
PREPARE = """
import sys
from pathlib import Path
from optical_ray.config.load import from_dict
from tests import tiny_study
data, storage, name = sys.argv[1:]
experiment = from_dict(tiny_study.spec(Path(data), name=name))
preparation = tiny_study.prepare(experiment, Path(storage))
print(preparation.inputs.models.teacher.name, preparation.inputs.models.embeddings.name)
"""


def launch(data: Path, storage: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PREPARE, str(data), str(storage), name]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_entries_are_complete(storage: Path, *, after_kill: bool = False) -> None:
    entries = [path for path in (storage / "cache").iterdir() if not path.name.startswith(".")]
    assert {path.name.partition("-")[0] for path in entries} >= {"encoder", "embeddings", "bitext", "collection"}
    assert all(is_complete(path) for path in entries)
    if not after_kill:  # a killed launcher cannot remove its temporary folders
        assert len(entries) == len(list((storage / "cache").iterdir()))


@pytest.mark.slow
def test_launchers_that_start_together_make_each_entry_once(tmp_path: Path) -> None:
    data, storage = tiny_study.write_data(tmp_path / "data"), tmp_path / "storage"
    launchers = [launch(data, storage, f"study{number}") for number in range(3)]
    outputs = [process.communicate(timeout=300) for process in launchers]
    assert [process.returncode for process in launchers] == [0, 0, 0], outputs
    assert len({output for output, _ in outputs}) == 1
    assert_entries_are_complete(storage)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_a_launcher_after_a_killed_one_finds_complete_entries_or_none(tmp_path: Path, seconds: float) -> None:
    data, storage = tiny_study.write_data(tmp_path / "data"), tmp_path / "storage"
    killed = launch(data, storage, "killed")
    for _ in range(3000):  # until the first entry is being made
        if (storage / "cache").is_dir() or killed.poll() is not None:
            break
        time.sleep(0.01)
    time.sleep(seconds)
    killed.kill()
    killed.communicate()
    entries = [path for path in (storage / "cache").iterdir() if not path.name.startswith(".")]
    assert all(is_complete(path) for path in entries)
    output, errors = launch(data, storage, "next").communicate(timeout=300)
    assert output, errors
    assert_entries_are_complete(storage, after_kill=True)
    assert load_file(storage / "cache" / output.split()[0] / "model.safetensors")
