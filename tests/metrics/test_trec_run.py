"""Run files are read as they were written, also by other tools."""

from __future__ import annotations

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optical_ray.metrics.trec_run import escape_id, read_run, unescape_id, write_run
from optical_ray.types import InputError

RUN = {"q1": {"a": 0.1, "b": 0.30000000000000004, "c": 0.1}, "q2": {"ü": -1e-9}}


@pytest.mark.parametrize("name", ["run.trec", "run.sw.trec.gz"])
def test_a_run_is_read_as_it_was_written(tmp_path, name):
    write_run(tmp_path / name, RUN, "tag")
    assert read_run(tmp_path / name) == RUN
    write_run(tmp_path / "again.gz", RUN, "tag")
    write_run(tmp_path / "twice.gz", RUN, "tag")
    assert (tmp_path / "again.gz").read_bytes() == (tmp_path / "twice.gz").read_bytes()


def test_lines_are_in_trec_evals_order_and_read_by_ir_measures(tmp_path):
    write_run(tmp_path / "run.trec", RUN, "tag")
    lines = (tmp_path / "run.trec").read_text().splitlines()
    assert [line.split()[2:4] for line in lines] == [["b", "1"], ["c", "2"], ["a", "3"], ["ü", "1"]]
    read = list(ir_measures.read_trec_run(str(tmp_path / "run.trec")))
    assert {(doc.query_id, doc.doc_id, doc.score) for doc in read} == {
        (topic, doc, score) for topic, documents in RUN.items() for doc, score in documents.items()
    }


def test_the_second_column_may_be_anything(tmp_path):
    (tmp_path / "run").write_text("q1 0 a 1 2.5 tag\n\nq1 Q0 b 2 1e-3 tag\n")
    assert read_run(tmp_path / "run") == {"q1": {"a": 2.5, "b": 0.001}}


@pytest.mark.parametrize("line", ["q1 Q0 a 1 tag", "q1 Q0 a 1 high tag", "q1 Q0 a b 1 2.0 tag"])
def test_a_malformed_line_is_named(tmp_path, line):
    (tmp_path / "run").write_text(f"q1 Q0 z 1 1.0 tag\n{line}\n")
    with pytest.raises(InputError, match="run:2: expected 'topic Q0 document rank score tag'"):
        read_run(tmp_path / "run")


def test_an_empty_identifier_is_refused(tmp_path):
    with pytest.raises(InputError, match="an identifier is empty"):
        write_run(tmp_path / "run", {"q": {"": 1.0}}, "tag")
    assert not (tmp_path / "run").exists()


@given(st.text(min_size=1))
def test_identifiers_are_escaped_reversibly(identifier):
    escaped = escape_id(identifier)
    assert escaped.split() == [escaped]
    assert unescape_id(escaped) == identifier
    if identifier.split() == [identifier] and "%" not in identifier:
        assert escaped == identifier


def test_runs_with_blanks_and_percent_signs_are_read_as_they_were_written(tmp_path):
    run = {"Nairobi city": {"a b": 3.0, "a%20b": 2.0, "50%": 1.0, "\u2028": 0.5}}
    write_run(tmp_path / "run", run, "a tag")
    assert read_run(tmp_path / "run") == run
    assert all(len(line.split()) == 6 for line in (tmp_path / "run").read_text().splitlines())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"q1 Q0 a 1 1.0 t\nq1 Q0 a 2 0.5 t\n", "run:2: topic 'q1' has document 'a' a second time"),
        (b"q1 Q0 a 1 nan t\n", "run:1: score must be a number, got 'nan'"),
        (b"q1 Q0 a 1 1.0 t\nq2 Q0 \xff 1 1.0 t\n", "run:2: not UTF-8"),
        (b"q1 Q0 a 1 1.0 t\n\0\0\n", "run:2: holds a NUL byte"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path, content, message):
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path / "run")


def test_a_truncated_run_is_refused(tmp_path):
    path = tmp_path / "run.gz"
    write_run(path, {"q": {f"d{i}": float(i) for i in range(500)}}, "tag")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"run\.gz: cannot be read"):
        read_run(path)
    with pytest.raises(InputError, match="nowhere: cannot be read"):
        read_run(tmp_path / "nowhere")


def test_order_in_the_file_does_not_matter_nor_do_line_ends_or_a_byte_order_mark(tmp_path):
    (tmp_path / "run").write_bytes(b"\xef\xbb\xbfq1 0 a 2 1.0 t\r\nq1 0 b 1 2.0 t\r\n")
    assert read_run(tmp_path / "run") == {"q1": {"a": 1.0, "b": 2.0}}
