"""The recipe of an encoder: its file is enough to name it in a spec and to have the contract suite run over it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests import tiny_study

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys
from pathlib import Path

import pytest

import optical_ray.encoders

room, spec = sys.argv[1:]
optical_ray.encoders.__path__.append(room)
code = pytest.main(["-q", "-p", "no:cacheprovider", "-k", "small_bert", "tests/contracts/test_encoders.py"])
assert code == 0, code

from optical_ray.config.load import from_dict
from optical_ray.prepare.text import prepare_text

experiment = from_dict(json.loads(Path(spec).read_text()))
text = prepare_text(experiment, Path(spec).parent / "storage", lambda stage: None)
encoder = text.teacher.config.build(text.teacher.tokenizer.open())
print(experiment.trial.teacher.kind, encoder.dim)
"""


def test_one_file_adds_an_encoder(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    shutil.copy(Path(__file__).with_name("encoder.py"), room / "small_bert.py")
    raw = tiny_study.spec(tiny_study.write_data(tmp_path / "data"))
    raw["trial"]["teacher"] = {"kind": "small_bert", "hidden": 32, "layers": 1}
    (tmp_path / "spec.json").write_text(json.dumps(raw))
    command = [sys.executable, "-c", PROGRAM, str(room), str(tmp_path / "spec.json")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]
    assert " passed" in result.stdout
    assert "small_bert 32" in result.stdout
