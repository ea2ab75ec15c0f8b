"""What cannot be run is refused by one message that names the culprit, with exit code 2, and nothing is written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from optical_ray.cli import app
from optical_ray.encoders.pretrained import PretrainedEncoder
from tests.encoders.checkpoints import write_xlmr

Tiny = Callable[..., dict[str, Any]]
Verb = Callable[..., tuple[int, str, str]]
EPSILON, SOURCES = "loss.solver.epsilon", "data.source_languages"


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Verb:
    """Run a verb as the command line does; exit code, standard output and standard error."""

    def called(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["optical-ray", *words])
        with pytest.raises(SystemExit) as end:
            app.main()
        out, err = capfd.readouterr()
        code = end.value.code
        return (code if isinstance(code, int) else 0 if code is None else 1), out, err

    return called


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """The tiny data, to be spoilt."""
    shutil.copytree(tiny_data, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def raw(tiny: Tiny, tiny_data: Path, data: Path) -> dict[str, Any]:
    """The tiny study over data of the test's own."""
    spec = tiny(search={"num_trials": 2})
    moved: dict[str, Any] = yaml.safe_load(yaml.safe_dump(spec).replace(str(tiny_data), str(data)))
    return moved


def changed(raw: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``raw`` with ``value`` at a path whose parts are separated by slashes."""
    raw = deepcopy(raw)
    *parents, last = path.split("/")
    node = raw
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return raw


def assert_refused(
    verb: Verb, folder: Path, raw: dict[str, Any], words: list[str], *, verbs: Any = ("run", "plan")
) -> None:
    """Every verb refuses ``raw``: code 2, one message with all ``words``, no trial, no study."""
    spec, storage = folder / "spec.yaml", folder / "runs"
    spec.write_text(yaml.safe_dump(raw, sort_keys=False))
    for name in verbs:
        code, out, err = verb(name, str(spec), "--storage", str(storage))
        assert code == 2, (name, out, err)
        assert "Traceback" not in out + err
        assert err.count("optical-ray:") == 1
        for word in words:
            assert word in err, (name, word, err)
        assert not list(storage.glob("*/study.json"))
        assert not list(storage.glob("*/trials"))


SPECS = [
    ("trail", {}, ["trail"]),
    ("trial/optimizer", {"stepps": 3}, ["trial.optimizer.stepps"]),
    ("trial/data/batch_size", "many", ["trial.data.batch_size", "many"]),
    ("space/loss.solver.epsilom", {"kind": "float", "low": 0.1, "high": 1.0}, ["epsilom"]),
    (f"space/{EPSILON}", {"kind": "float", "low": 0.0, "high": 1.0}, [EPSILON, "0.0"]),
    (f"space/{EPSILON}", {"kind": "float", "low": 0.0, "high": 1.0, "log": True}, [EPSILON]),
    (f"space/{SOURCES}/of", ["de", "xx"], [SOURCES, "'xx'", "de, hi, mr"]),
    (f"space/{SOURCES}/of", [""], [SOURCES]),
    ("trial/data/source_languages", [], ["trial.data.source_languages"]),
    ("search/start_with", [{SOURCES: ""}], ["search.start_with", SOURCES]),
    ("search/mode", "estimate", ["search", "estimate"]),
    ("compute/num_workers", 4096, ["workers"]),
    ("compute/gpus_per_worker", 99, ["compute", "GPU"]),
    ("trial/data/pairs", 10**9, ["pairs", "repeat"]),
    ("trial/teacher", {"kind": "pretrained", "checkpoint": "/no/such/folder"}, ["checkpoint", "/no/such/folder"]),
]


@pytest.mark.parametrize(
    ("path", "value", "words"), SPECS, ids=[f"{path}={str(value)[:30]}" for path, value, _ in SPECS]
)
def test_a_spec_that_cannot_be_run(
    verb: Verb, raw: dict[str, Any], tmp_path: Path, path: str, value: Any, words: list[str]
) -> None:
    needs_data = path in ("trial/data/pairs", "trial/teacher")
    assert_refused(verb, tmp_path, changed(raw, path, value), words, verbs=("run",) if needs_data else ("run", "plan"))


def cut(path: Path) -> None:
    path.unlink()


def line(number: int, text: str) -> Callable[[Path], None]:
    """Replaces line ``number``, counted from 1."""

    def spoil(path: Path) -> None:
        lines = path.read_text().splitlines()
        lines[number - 1] = text
        path.write_text("\n".join(lines) + "\n")

    return spoil


def bytes_in(number: int) -> Callable[[Path], None]:
    """Puts bytes that are no UTF-8 into line ``number``."""

    def spoil(path: Path) -> None:
        lines = path.read_bytes().splitlines()
        lines[number - 1] = b"\xff\xfe\tx"
        path.write_bytes(b"\n".join(lines) + b"\n")

    return spoil


FILES = [
    ("bitext/hi.tsv", line(7, "only one column"), ["hi.tsv:7"]),
    ("bitext/hi.tsv", bytes_in(3), ["hi.tsv:3", "UTF-8"]),
    ("bitext/de.tsv", lambda path: path.write_text(""), ["de.tsv", "empty"]),
    ("sw/topics.tsv", cut, ["topics.tsv"]),
    ("sw/qrels.txt", cut, ["qrels.txt"]),
    ("sw/documents.tsv", line(5, "d4"), ["documents.tsv:5"]),
    ("sw/documents.tsv", line(5, "d4\t"), ["documents.tsv:5", "d4"]),
    ("sw/topics.tsv", line(2, "q1\t "), ["topics.tsv:2", "q1"]),
    ("sw/qrels.txt", line(4, "q3 0 d3 high"), ["qrels.txt:4", "high"]),
    ("sw/qrels.txt", line(4, "q3 0 nowhere 1"), ["nowhere"]),
    ("relevance/triples.train.small.tsv", line(9, "a\tb"), ["triples.train.small.tsv:9"]),
]


@pytest.mark.parametrize(("file", "spoil", "words"), FILES, ids=[f"{file}-{words[-1]}" for file, _, words in FILES])
def test_data_that_cannot_be_read(
    verb: Verb,
    raw: dict[str, Any],
    data: Path,
    tmp_path: Path,
    file: str,
    spoil: Callable[[Path], None],
    words: list[str],
) -> None:
    spoil(data / file)
    assert_refused(verb, tmp_path, raw, words, verbs=("run",))


@pytest.mark.parametrize("place", ["bitext", "sw"])
def test_data_that_is_not_there(verb: Verb, raw: dict[str, Any], data: Path, tmp_path: Path, place: str) -> None:
    shutil.rmtree(data / place)
    assert_refused(verb, tmp_path, raw, [str(data / place)], verbs=("run",))


def test_a_checkpoint_folder_without_a_tokenizer(verb: Verb, raw: dict[str, Any], tmp_path: Path) -> None:
    folder = write_xlmr(tmp_path / "checkpoint")
    (folder / "tokenizer.json").unlink()
    spec = changed(raw, "trial/teacher", {"kind": "pretrained", "checkpoint": str(folder)})
    assert_refused(verb, tmp_path, spec, [str(folder), "tokenizer.json", "model.safetensors"], verbs=("run",))
    assert PretrainedEncoder(checkpoint=str(folder)).is_trained


def test_a_storage_that_cannot_be_one(verb: Verb, raw: dict[str, Any], tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(raw))
    (tmp_path / "file").write_text("kept")
    for storage, word in ((tmp_path / "file", "file"), ("s3://bucket/runs", "s3://bucket/runs")):
        for name in ("run", "plan", "prepare"):
            code, _, err = verb(name, str(spec), "--storage", str(storage))
            assert code == 2, (name, storage, err)
            assert "--storage" in err
            assert word in err
    assert (tmp_path / "file").read_text() == "kept"


def test_settings_and_specs_that_are_none(verb: Verb, raw: dict[str, Any], tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(raw))
    for words, culprit in (
        (["run", str(tmp_path / "none.yaml")], "none.yaml"),
        (["plan", str(spec), "--set", "trial.optimizer.stepps=3"], "trial.optimizer.stepps"),
        (["plan", str(spec), "--set", "seed"], "seed"),
        (["plan", str(spec), "--nonsense"], "--nonsense"),
        (["nonsense"], "nonsense"),
        (["run"], "SPEC"),
        (["status", str(tmp_path)], "study.json"),
        (["report", str(tmp_path)], "study.json"),
        (["ui", str(tmp_path)], "study.json"),
        (["evaluate", str(tmp_path), "--collection", str(spec)], "encoder.json"),
    ):
        code, out, err = verb(*words)
        assert (code, "Traceback" in out + err) == (2, False), (words, err)
        assert culprit in err


def test_an_address_where_nobody_is(verb: Verb, raw: dict[str, Any], tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(raw))
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "optical_ray",
            "plan",
            str(spec),
            "--storage",
            str(tmp_path),
            "--address",
            "127.0.0.1:1",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_is_dropped_or_cut_is_counted_and_said(
    verb: Verb, raw: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    """A topic with no relevant document, a sentence beyond the limit: no reason to stop."""
    from optical_ray.config.load import from_dict
    from optical_ray.prepare.text import prepare_text
    from optical_ray.report.data_lines import data_lines

    line(2, "q1 0 d1 0")(data / "sw" / "qrels.txt")
    line(1, " ".join(["river"] * 40) + "\t" + " ".join(["revir"] * 60))(data / "bitext" / "hi.tsv")
    text = prepare_text(from_dict(raw), tmp_path / "runs", lambda stage: None)
    said = "\n".join(data_lines(text.report, "drop"))
    assert "2 sentences truncated" in said
    dropped = [split["dropped"] for split in text.report["collections"]["sw"].values()]
    assert sum(count for reasons in dropped for reason, count in reasons.items() if "relevant" in reason) == 1
    assert "relevant" in said


def test_the_spec_that_was_spoilt_is_a_good_one(verb: Verb, raw: dict[str, Any], tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(raw))
    code, out, err = verb("plan", str(spec), "--storage", str(tmp_path / "runs"))
    assert (code, err) == (0, "")
    assert "2 configurations" in out
    assert not (tmp_path / "runs").exists()
