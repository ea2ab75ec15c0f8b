import bz2
import gzip
import io
import lzma
import random
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optical_ray.data.input_files import find_file, find_files
from optical_ray.data.text_files import parse_object, read_columns, read_lines, read_objects, text_of
from optical_ray.types import InputError

TEXT = "habari\nза́мок\nตั้งปลุก\n"


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


COMPRESS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress, ".zst": zstd}


def lines(path: Path) -> list[str]:
    return [line for _, line in read_lines(find_file(str(path)))]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressions_are_known_by_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"text.tsv{suffix}"
    path.write_bytes(COMPRESS[suffix](TEXT.encode()))
    assert lines(path) == TEXT.splitlines()
    assert find_file(str(path)).base == "text.tsv"


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESS if suffix])
def test_a_truncated_file_is_reported(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"text.tsv{suffix}"
    path.write_bytes(COMPRESS[suffix](TEXT.encode() * 5000)[:-20])
    with pytest.raises(InputError, match=r"text.tsv.*:\d+: cannot be read further after byte \d+ .*cut off"):
        lines(path)


def test_line_ends_and_byte_order_marks_are_removed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffone\r\ntwo \rthree\r\n\u2028four".encode())
    assert lines(tmp_path / "a") == ["one", "two \rthree", "\u2028four"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a: the file is empty"),
        (b"fine\nna\xefve\n", r"a:2: byte 3 of the line is not UTF-8 \(0xef\); convert"),
        ("ok\nhabari\n".encode("utf-16"), "a:1: byte 1 of the line is not UTF-8"),
        (b"fine\nno\0t\n", "a:2: holds a NUL"),
    ],
)
def test_invalid_text_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=message):
        lines(tmp_path / "a")


def test_columns_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\tone\n\n2\ttwo\tmore\n")
    with pytest.raises(InputError, match=r"a:3: got 3 columns, expected 2 \(id, text\)"):
        list(read_columns(find_file(str(tmp_path / "a")), {2: "id, text"}))


def test_only_objects_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('{"id": 1}\n\n[1]\n')
    with pytest.raises(InputError, match="a:3: expected a JSON object, got list"):
        list(read_objects(find_file(str(tmp_path / "a"))))
    with pytest.raises(InputError, match="here: not JSON"):
        parse_object("[" * 100_000, "here")
    assert (text_of(7, "x", "id"), text_of("007", "x", "id")) == ("7", "007")
    for value in (True, 1.5, None, [], "\ud800"):
        with pytest.raises(InputError, match="x: id"):
            text_of(value, "x", "id")


def test_files_folders_and_globs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b/2.tsv", "b/1.tsv.gz", "a.tsv", "b/deep/3.tsv", ".hidden/4.tsv", "b/.5.tsv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    def found(place: str) -> list[str]:
        return [file.relative for file in find_files(place)]

    everything = ["a.tsv", "b/1.tsv.gz", "b/2.tsv", "b/deep/3.tsv"]
    assert found(str(tmp_path)) == everything
    assert found(f"{tmp_path}/") == everything
    assert found(tmp_path.as_uri()) == everything
    assert found(f"{tmp_path}/b/*.tsv") == ["2.tsv"]
    assert found(f"{tmp_path}/b/*") == ["1.tsv.gz", "2.tsv"]
    assert found(f"{tmp_path}/b/?.tsv*") == ["1.tsv.gz", "2.tsv"]
    assert found(f"{tmp_path}/**/*.tsv") == ["a.tsv", "b/2.tsv", "b/deep/3.tsv"]
    assert found(f"{tmp_path.as_uri()}/b/*.tsv") == ["2.tsv"]
    monkeypatch.chdir(tmp_path)
    assert found("b") == ["1.tsv.gz", "2.tsv", "deep/3.tsv"]
    assert found("*.tsv") == ["a.tsv"]
    assert find_file("a.tsv").name == "a.tsv"
    assert find_file(f"{tmp_path.as_uri()}/a.tsv").name == f"{tmp_path.as_uri()}/a.tsv"
    with pytest.raises(InputError, match=r"expected one file, got 2 \(.*1.tsv.gz, .*2.tsv\)"):
        find_file("b/?.tsv*")
    for nothing in ("nowhere", "*.csv", "nowhere/*.tsv", "memory://x/y", "s4://bucket"):
        with pytest.raises(InputError, match=r"no such file|not a URI"):
            find_files(nothing)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_are_folders(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"corpus.{kind}"
    members = {"v1/README": b"about", "v1/x.sw.gz": gzip.compress(TEXT.encode()), ".git/config": b"-"}
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    files = find_files(str(path))
    assert [file.name for file in files] == [f"{path}!v1/README", f"{path}!v1/x.sw.gz"]
    assert [line for _, line in read_lines(files[1])] == TEXT.splitlines()
    assert [file.name for file in find_files(str(tmp_path))] == [file.name for file in files]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="the archive cannot be read"):
        find_files(str(path))


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("member", ["../outside", "/etc/passwd", "a/../../b", "c:\\windows"])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_paths_that_lead_out_of_an_archive_are_refused(tmp_path: Path, kind: str, member: str) -> None:
    write_archive(tmp_path / f"a.{kind}", {"fine": b"x", member: b"x"})
    with pytest.raises(InputError, match=rf"a.{kind}: holds the path .*leads out of the archive"):
        find_files(str(tmp_path / f"a.{kind}"))


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_without_files_is_refused_if_one_is_needed(tmp_path: Path, kind: str) -> None:
    write_archive(tmp_path / f"a.{kind}", {})
    assert find_files(str(tmp_path / f"a.{kind}")) == []
    with pytest.raises(InputError, match=rf"a.{kind}: the archive holds no file"):
        find_file(str(tmp_path / f"a.{kind}"))


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_a_truncated_tar_is_reported_with_its_position(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    noise = random.Random(0)
    write_archive(path, {name: noise.randbytes(40_000) for name in ("first", "second", "third")})
    content = path.read_bytes()[:60_000]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"after byte \d+, in 'second' or after it .*cut off") as raised:
        find_files(str(path))
    consumed = re.search(r"after byte (\d+)", str(raised.value))
    assert consumed is not None
    assert 40_000 < int(consumed[1]) <= len(content)


def test_broken_members_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.txt", "one two three")
        archive.writestr("empty.txt", "")
    content = (tmp_path / "a.zip").read_bytes().replace(b"one two three", b"one two thrEE")
    (tmp_path / "a.zip").write_bytes(content)
    empty, broken = find_files(str(tmp_path / "a.zip"))
    with pytest.raises(InputError, match=r"a.zip!empty.txt: the file is empty"):
        list(read_lines(empty))
    with pytest.raises(InputError, match=r"a.zip!x.txt:1: cannot be read further"):
        list(read_lines(broken))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["", ".gz", ".xz", ".zst", ".bz2", ".zip", ".tar", ".tgz"]))
def test_any_bytes_give_lines_or_an_input_error(
    tmp_path: Path, only_input_errors: Any, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with only_input_errors(str(path)):
        for file in find_files(str(path)):
            for number, line in read_lines(file):
                assert number > 0
                assert "\n" not in line
    path.unlink()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 400), st.integers(0, 255), st.sampled_from([".gz", ".xz", ".zst", ".bz2", ".zip", ".tar"]))
def test_a_flipped_byte_never_crashes(
    tmp_path: Path, only_input_errors: Any, place: int, value: int, suffix: str
) -> None:
    path = tmp_path / f"x{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.txt", TEXT * 3)
    elif suffix == ".tar":
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("x.txt")
            info.size = len(TEXT.encode())
            tar.addfile(info, io.BytesIO(TEXT.encode()))
    else:
        path.write_bytes(COMPRESS[suffix](TEXT.encode() * 3))
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= value
    path.write_bytes(content)
    with only_input_errors(str(path)):
        for file in find_files(str(path)):
            list(read_lines(file))
    path.unlink()
