import json
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optical_ray.data.datasets.trec import TrecCollection
from optical_ray.data.input_files import find_file
from optical_ray.data.trec_files import read_qrels
from optical_ray.types import InputError

TOPICS = "".join(f"{i:03}\tswali namba {i}\n" for i in range(200))
DOCUMENTS = "".join(f"d{i}\tpassage number {i}\n" for i in range(50))
QRELS = "".join(f"{i:03} 0 d{i % 50} 1\n{i:03} 0 d{(i + 1) % 50} 0\n" for i in range(200))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "topics.tsv").write_text(TOPICS)
    (tmp_path / "documents.tsv").write_text(DOCUMENTS)
    (tmp_path / "qrels.txt").write_text(QRELS)
    return tmp_path


def trec(folder: Path, **options: Any) -> TrecCollection:
    return TrecCollection(language="sw", root=str(folder), **options)


def test_topics_are_divided_by_a_hash_of_their_id(folder: Path) -> None:
    halves = {split: trec(folder).load(split) for split in ("eval", "test")}
    found = {split: {topic.topic_id for topic in half.topics} for split, half in halves.items()}
    assert not found["eval"] & found["test"]
    assert len(found["eval"] | found["test"]) == 200
    assert 40 <= len(found["eval"]) <= 80
    assert halves["test"].documents == halves["eval"].documents
    assert halves["test"].qrels.grades["000" if "000" in found["test"] else "001"]
    (folder / "topics.tsv").write_text("".join(sorted(TOPICS.splitlines(keepends=True), reverse=True)))
    again = {topic.topic_id for topic in trec(folder).load("eval").topics}
    assert again == found["eval"], "the order of the file does not matter"
    assert len(trec(folder, eval_fraction=1.0).load("eval").topics) == 200
    with pytest.raises(InputError, match="no topic of split test"):
        trec(folder, eval_fraction=1.0).load("test")


def test_ids_remain_text_and_the_direction_is_a_setting(folder: Path) -> None:
    collection = TrecCollection(language="en", document_language="so", root=str(folder), eval_fraction=0.0).load("test")
    assert collection.topics[7].topic_id == "007"
    assert {topic.language for topic in collection.topics} == {"en"}
    assert {document.language for document in collection.documents} == {"so"}
    assert collection.qrels.grades["007"] == {"d7": 1, "d8": 0}


def test_own_eval_topics_and_qrels(folder: Path) -> None:
    (folder / "dev.tsv").write_text("900\tswali\n901\tlingine\n")
    (folder / "dev.qrels").write_text("900 Q0 d1 2\n901 0 d2 0\n")
    dataset = trec(folder, eval_topics="dev.tsv", eval_qrels="dev.qrels")
    collection = dataset.load("eval")
    assert [topic.topic_id for topic in collection.topics] == ["900"]
    assert collection.dropped == {"topics without a relevant document": 1}
    assert len(dataset.load("test").topics) == 200
    (folder / "dev.tsv").write_text("900\tswali\n007\tlingine\n")
    with pytest.raises(InputError, match=r"dev.tsv: topic '007' is in topics.tsv too"):
        dataset.load("eval")


def test_documents_may_state_their_language(folder: Path) -> None:
    own = [{"language": "sw"}, {}, {"language": None}, {"language": "zh-TW"}]
    records = [{"id": f"d{i}", "text": f"text {i}", **own[i % 4]} for i in range(50)]
    (folder / "documents.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    mixed = trec(folder, documents="documents.jsonl").load("test").documents
    assert [document.language for document in mixed[:4]] == ["sw", "en", "en", "zh-TW"]
    for value in ("kiswahili sanifu", ["sw"], 7, "", False, 0):
        records[2]["language"] = value
        (folder / "documents.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        with pytest.raises(InputError, match=r"documents.jsonl:3: language must be a code"):
            trec(folder, documents="documents.jsonl").load("test")


def test_documents_in_several_files_and_layouts(folder: Path) -> None:
    (folder / "documents.tsv").unlink()
    (folder / "docs").mkdir()
    (folder / "docs" / "1.tsv").write_text("".join(f"d{i}\tTitle {i}\ttext {i}\n" for i in range(25)))
    records = [{"_id": f"d{i}", "title": f"Title {i}", "text": f"text {i}"} for i in range(25, 50)]
    (folder / "docs" / "2.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    documents = trec(folder, documents="docs").load("test").documents
    assert [(document.doc_id, document.text) for document in documents] == [
        (f"d{i}", f"Title {i} text {i}") for i in range(50)
    ]


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("qrels.txt", "001 0 d99 1", r"qrels.txt:401: document 'd99' is judged but is not among the 50 documents"),
        ("qrels.txt", "001 0 d1", r"qrels.txt:401: got 3 columns, expected 4"),
        ("qrels.txt", "001 0 d1 high", r"qrels.txt:401: the grade must be a whole number of .*, got 'high'"),
        (
            "qrels.txt",
            "001 0 d1 1_0",
            r"qrels.txt:401: the grade must be a whole number of at most six digits, got '1_0'",
        ),
        ("qrels.txt", "001 0 d1 1234567", r"qrels.txt:401: the grade .* of at most six digits, got '1234567'"),
        ("qrels.txt", "001 0 d1 +1", r"qrels.txt:401: the grade must be a whole number"),
        ("qrels.txt", "001 0 d1 \u0661", r"qrels.txt:401: the grade must be a whole number"),
        ("qrels.txt", "001 0 d1 2", r"qrels.txt:401: topic '001', document 'd1': grade 2 here, 1 before"),
        ("topics.tsv", "001\tagain", r"topics.tsv:201: topic id '001' occurs a second time"),
        ("topics.tsv", "999\t ", r"topics.tsv:201: topic '999' has no text; .*empty_text: drop"),
        ("topics.tsv", "999", r"topics.tsv:201: got 1 columns, expected 2 \(id, text\)"),
        ("documents.tsv", "d1\tagain", r"documents.tsv:51: document id 'd1' occurs a second time"),
        ("documents.tsv", "\ttext", r"documents.tsv:51: document id '' is empty"),
        ("topics.tsv", "\u00a0\ttext", r"topics.tsv:201: topic id .* is empty"),
        ("topics.tsv", " \ttext", r"topics.tsv:201: topic id '' is empty"),
        ("documents.tsv", "d99\t", r"documents.tsv:51: document 'd99' has no text"),
        ("documents.tsv", "d99\ta\tb\tc", r"documents.tsv:51: got 4 columns"),
    ],
)
def test_bad_lines_are_refused(folder: Path, file: str, line: str, message: str) -> None:
    with open(folder / file, "a") as stream:
        stream.write(line + "\n")
    with pytest.raises(InputError, match=message):
        trec(folder).load("test")


def test_dropping_empty_texts_is_counted(folder: Path) -> None:
    for file, line in (("topics.tsv", "999\t "), ("documents.tsv", "d99\t"), ("qrels.txt", "001 0 d99 1")):
        with open(folder / file, "a") as stream:
            stream.write(line + "\n")
    dropped = trec(folder, empty_text="drop", eval_fraction=0.0).load("test").dropped
    assert dropped == {
        "topics without text": 1,
        "documents without text": 1,
        "judgements of documents without text": 1,
    }


def test_topics_without_a_relevant_document_are_dropped(folder: Path) -> None:
    (folder / "qrels.txt").write_text(QRELS.replace("003 0 d3 1", "003 0 d3 0").replace("004 0 d4 1", "777 0 d4 1"))
    collection = trec(folder, eval_fraction=0.0).load("test")
    assert collection.dropped == {
        "topics without a relevant document": 2,
        "judgements of topics that are not in this split": 1,
    }
    assert len(collection.topics) == 198


def test_missing_files_and_wrong_fields(folder: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.tsv: no such file"):
        trec(folder, topics="nowhere.tsv").load("test")
    with pytest.raises(InputError, match="no topic of split eval"):
        trec(folder, eval_fraction=0.0).load("eval")
    for options in ({"eval_fraction": 1.5}, {"eval_qrels": "x"}, {"relevance_level": 0}):
        with pytest.raises(InputError, match=next(iter(options))):
            trec(folder, **options)


def test_the_fingerprint_depends_on_content_and_settings(folder: Path) -> None:
    first = trec(folder).fingerprint()
    assert trec(folder, relevance_level=2).fingerprint() != first
    (folder / "moved").mkdir()
    for name in ("topics.tsv", "documents.tsv", "qrels.txt"):
        (folder / name).rename(folder / "moved" / name)
    assert trec(folder / "moved").fingerprint() == first
    (folder / "moved" / "topics.tsv").write_text(TOPICS + "201\tjipya\n")
    assert trec(folder / "moved").fingerprint() != first


IDS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(IDS, IDS, st.integers(-2, 4)), min_size=1, max_size=20))
def test_qrels_are_read_as_ir_measures_reads_them(tmp_path: Path, rows: list[tuple[str, str, int]]) -> None:
    path = tmp_path / "qrels"
    path.write_text("".join(f"{topic} 0\t{doc}  {grade}\n" for topic, doc, grade in rows), encoding="utf-8")
    ours = [(j.topic_id, j.doc_id, j.grade) for j in read_qrels(find_file(str(path)))]
    assert ours == [(q.query_id, q.doc_id, q.relevance) for q in ir_measures.read_trec_qrels(str(path))]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    *(st.lists(st.text(st.sampled_from("12d \t\rq"), max_size=12), max_size=6) for _ in range(3)),
    st.sampled_from(["refuse", "drop"]),
)
def test_any_text_gives_a_collection_or_an_input_error(
    tmp_path: Path, only_input_errors: Any, topics: list[str], documents: list[str], qrels: list[str], empty_text: str
) -> None:
    for name, lines in (("topics.tsv", topics), ("documents.tsv", documents), ("qrels.txt", qrels)):
        (tmp_path / name).write_bytes("".join(line + "\n" for line in lines).encode())
    with only_input_errors(str(tmp_path), "no topic of split"):
        collection = trec(tmp_path, empty_text=empty_text, eval_fraction=0.0).load("test")
        assert set(collection.qrels.grades) == {topic.topic_id for topic in collection.topics}
