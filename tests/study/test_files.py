"""Files survive whatever happens to their writer."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from optical_ray.study.files import (
    append_jsonl,
    read_json,
    read_jsonl,
    remove_incomplete_line,
    replace_file,
    replace_folder,
    write_atomic,
    write_json,
)

ROWS = [{"step": 1, "AP/日本": 0.1}, {"step": 2, "AP/日本": 0.25}]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    value = {"name": "Kiswahili · 日本", "numbers": [1, 0.1, None, True]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert json.loads((tmp_path / "a.json").read_bytes()) == value
    write_atomic(tmp_path / "b", b"\x00\xff")
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused_and_the_old_file_stays(tmp_path: Path, number: float) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"new": number})
    assert read_json(tmp_path / "a.json") == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_writer_that_dies_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "a.json", {"old": 1})

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        write_json(tmp_path / "a.json", {"new": "x" * 10_000})
    assert read_json(tmp_path / "a.json") == {"old": 1}


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, [0] * 5000)
    torn: list[Exception] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            try:
                assert len(set(read_json(path))) == 1
            except (AssertionError, ValueError, OSError) as error:
                torn.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        write_json(path, [number] * 5000)
    ended.set()
    reader.join()
    assert not torn


def test_rows_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert list(read_jsonl(path)) == []
    append_jsonl(path, ROWS[:1])
    append_jsonl(path, [])
    append_jsonl(path, ROWS[1:])
    assert list(read_jsonl(path)) == ROWS
    assert path.read_text(encoding="utf-8").count("\n") == 2


def torn_files() -> list[bytes]:
    """Two rows and every beginning of a third, cut inside of its characters too."""
    whole = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
    third = json.dumps({"step": 3, "AP/日本": 0.5}, ensure_ascii=False).encode()
    return [whole + third[:end] for end in range(1, len(third) + 1)]


@pytest.mark.parametrize("content", torn_files(), ids=len)
def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next_writer(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert list(read_jsonl(path)) == ROWS
    append_jsonl(path, [{"step": 4}])
    assert list(read_jsonl(path)) == [*ROWS, {"step": 4}]


def test_mending_says_so_and_leaves_whole_files_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rows.jsonl"
    remove_incomplete_line(path)
    assert not path.exists()
    for content in (b"", b'{"step": 1}\n'):
        path.write_bytes(content)
        remove_incomplete_line(path)
        assert path.read_bytes() == content
    assert not caplog.records
    path.write_bytes(b'{"st')
    remove_incomplete_line(path)
    assert path.read_bytes() == b""
    assert str(path) in caplog.text


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with replace_folder(tmp_path / "parent" / "a") as folder:
            (folder / content).touch()
            assert [path.name for path in (tmp_path / "parent").glob("a/*")] == ([] if content == "old" else ["old"])
    assert [path.name for path in (tmp_path / "parent").rglob("*")] == ["a", "new"]


@pytest.mark.parametrize("replace", [replace_file, replace_folder])
def test_after_an_error_the_old_content_stays(
    tmp_path: Path, replace: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    path = tmp_path / "a"
    if replace is replace_file:
        path.write_text("old")
    else:
        path.mkdir()
        (path / "old").touch()
    before = sorted(tmp_path.rglob("*"))

    def fail() -> None:
        with replace(path) as temporary:
            (temporary if replace is replace_file else temporary / "new").write_text("new")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert sorted(tmp_path.rglob("*")) == before
