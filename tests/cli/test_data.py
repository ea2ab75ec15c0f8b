"""``optical-ray data``: tables for people, JSON for programs, one message for what cannot be read."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from optical_ray.cli.app import main
from tests.tiny_study import NUM_PAIRS, spec, write_data


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of ``optical-ray`` with ``arguments``."""
    monkeypatch.setattr(sys, "argv", ["optical-ray", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    data = write_data(tmp_path / "data")
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec(data)), encoding="utf-8")
    return path


def test_tables_are_plain_where_no_terminal_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "data", str(path), "--storage", str(path.parent / "runs")) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    for word in ("made", "pieces/word", "random AP", f"none of {3 * NUM_PAIRS} pairs", "bitext made: "):
        assert word in shown
    for word in ("documents", "what the teacher is trained on", "relevance en: ", "collection sw: "):
        assert word in shown
    assert "dropped from made" not in shown
    assert max(map(len, shown.splitlines())) <= 120
    assert not (path.parent / "runs" / "tiny").exists()


def test_what_was_dropped_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    german = path.parent / "data" / "bitext" / "de.tsv"
    german.write_text(german.read_text() + german.read_text().splitlines()[0] + "\n")
    with open(path.parent / "data" / "sw" / "topics.tsv", "a") as stream:
        stream.write("q99\tnobody judged it\n")
    assert call(monkeypatch, "data", str(path), "--storage", str(path.parent / "runs")) == 0
    shown = capsys.readouterr().out
    assert re.search(r"dropped from made de: 1 duplicate", shown)
    assert re.search(r"dropped from sw (eval|test): .*1 topics without a relevant document", shown)


def test_json_holds_every_number(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "data", str(path), "--storage", str(path.parent / "runs"), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["pairs"] for row in found["bitext"]} == {NUM_PAIRS}
    assert found["leaks"]["leaks"] == 0
    assert [row["pairs"] for row in found["relevance"]] == [NUM_PAIRS]
    assert all(row["document_pieces"]["tokens"] > 0 for row in found["collections"])
    assert {(row["target"], row["split"]) for row in found["collections"]} == {
        (target, split) for target in ("so", "sw") for split in ("eval", "test")
    }


def test_a_file_that_is_not_there_is_one_message(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = "data.collections.sw.root=/nowhere"
    assert call(monkeypatch, "data", str(path), "--storage", str(path.parent / "runs"), "--set", where) == 2
    assert "/nowhere" in capsys.readouterr().err.splitlines()[-1]
