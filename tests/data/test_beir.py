import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optical_ray.data.datasets.beir import BeirCollection, BeirRelevance
from optical_ray.data.interface import Counts
from optical_ray.types import InputError

QRELS = "query-id\tcorpus-id\tscore\n"


def write(root: Path, name: str, rows: list[Any]) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    (root / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "corpus.jsonl", [{"_id": f"d{i}", "title": f"T{i}", "text": f"text {i}"} for i in range(20)])
    queries = [
        {
            "_id": f"{i:02}",
            "text": f"swali {i}",
            "metadata": {"lang": ("swa", "hau")[i % 2], "english": f"question {i}"},
        }
        for i in range(20)
    ]
    write(tmp_path, "queries.jsonl", queries)
    for split, ids in (("train", range(4)), ("dev", range(4, 10)), ("test", range(10, 20))):
        write(tmp_path, f"qrels/{split}.tsv", [QRELS.strip(), *(f"{i:02}\td{i}\t1" for i in ids)])
    return tmp_path


def beir(folder: Path, **options: Any) -> BeirCollection:
    return BeirCollection(**{"root": str(folder), "language": "sw", **options})


def test_each_split_has_its_qrels_file(folder: Path) -> None:
    test = beir(folder).load("test")
    assert [topic.topic_id for topic in test.topics] == [f"{i:02}" for i in range(10, 20)]
    assert test.documents[3].text == "T3 text 3"
    assert len(test.documents) == 20
    assert test.qrels.grades["11"] == {"d11": 1}
    assert len(beir(folder).load("eval").topics) == 6


def test_metadata_and_other_texts(folder: Path) -> None:
    hausa = beir(folder, metadata={"lang": "hau"}, query_text="metadata.english").load("test")
    assert [topic.text for topic in hausa.topics] == [f"question {i}" for i in range(11, 20, 2)]
    assert hausa.dropped == {"judgements of topics that are not in this split": 5}
    assert hausa.name == "beir/sw/hau"
    assert hash(beir(folder, metadata={"lang": "hau"})) is not None
    assert beir(folder, metadata={"lang": "hau"}).fingerprint() != beir(folder).fingerprint()


def test_documents_may_state_their_language(folder: Path) -> None:
    own = [{"language": "sw"}, {"metadata": {"lang": "ha"}}, {"metadata": {}}, {}]
    write(folder, "corpus.jsonl", [{"_id": f"d{i}", "text": f"text {i}", **own[i % 4]} for i in range(20)])
    documents = beir(folder, document_language="fr").load("test").documents
    assert [document.language for document in documents[:4]] == ["sw", "ha", "fr", "fr"]


def test_one_file_can_serve_both_splits(folder: Path) -> None:
    both = beir(folder, eval_qrels="test", eval_fraction=0.5)
    parts = [{topic.topic_id for topic in both.load(split).topics} for split in ("eval", "test")]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 10


def test_relevance_reads_the_training_qrels(folder: Path) -> None:
    pairs = list(BeirRelevance(root=str(folder)).pairs(Counts()))
    assert [(pair.query, pair.document) for pair in pairs] == [(f"swali {i}", f"T{i} text {i}") for i in range(4)]


@pytest.mark.parametrize(
    ("name", "record", "message"),
    [
        ("corpus.jsonl", {"_id": "d1", "text": "other"}, r"corpus.jsonl:21: document id 'd1' occurs a second time"),
        ("queries.jsonl", {"_id": "01", "text": "other"}, r"queries.jsonl:21: query id '01' occurs a second time"),
        ("queries.jsonl", {"_id": "x", "text": None}, ""),
        ("corpus.jsonl", {"_id": "d19", "text": "not judged for training"}, ""),
    ],
)
def test_relevance_refuses_a_judged_id_that_occurs_twice(
    folder: Path, name: str, record: dict[str, Any], message: str
) -> None:
    with open(folder / name, "a") as stream:
        stream.write(json.dumps(record) + "\n")
    if not message:
        assert len(list(BeirRelevance(root=str(folder)).pairs(Counts()))) == 4
        return
    with pytest.raises(InputError, match=message):
        list(BeirRelevance(root=str(folder)).pairs(Counts()))


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (
            "qrels/test.tsv",
            ["query\tdoc\tgrade"],
            r"test.tsv:1: the first line must be the header .*got query",
        ),
        ("qrels/test.tsv", [QRELS.strip(), "10\td1"], r"test.tsv:2: got 2 columns, expected 3"),
        ("qrels/test.tsv", [QRELS.strip(), "10\td99\t1"], r"test.tsv:2: document 'd99' is judged but is not among"),
        ("qrels/test.tsv", [QRELS.strip(), "99\td1\t1"], r"test.tsv:2: query '99' is judged but is not in .*queries"),
        (
            "qrels/test.tsv",
            [QRELS.strip(), "10\td1\thigh"],
            r"test.tsv:2: the grade must be a whole number of .*, got 'high'",
        ),
        (
            "qrels/test.tsv",
            [QRELS.strip(), "04\td1\t1"],
            r"test.tsv: query '04' is in dev too; splits share no queries",
        ),
        ("corpus.jsonl", [{"_id": "d1", "text": " "}], r"corpus.jsonl:1: document 'd1' has no text"),
        ("corpus.jsonl", [{"_id": "d1"}], r"corpus.jsonl:1: no text; expected one of text"),
        ("corpus.jsonl", [{"_id": "d1", "text": "x"}] * 2, r"corpus.jsonl:2: document id 'd1' occurs a second time"),
        ("queries.jsonl", [{"text": "x"}], r"queries.jsonl:1: _id must be a text, got NoneType"),
        ("queries.jsonl", ["{"], r"queries.jsonl:1: not JSON"),
        ("corpus.jsonl", [{"_id": " ", "text": "x"}], r"corpus.jsonl:1: document id ' ' is empty"),
        ("corpus.jsonl", [{"_id": "", "text": "x"}], r"corpus.jsonl:1: document id '' is empty"),
        ("qrels/test.tsv", [QRELS.strip(), "10\td1\t1_0"], r"test.tsv:2: the grade must be .*got '1_0'"),
        ("qrels/test.tsv", [QRELS.strip(), "10\td1\t99999999999999999999"], r"test.tsv:2: .*at most six digits"),
    ],
)
def test_bad_files_are_refused(folder: Path, name: str, rows: list[Any], message: str) -> None:
    write(folder, name, rows)
    with pytest.raises(InputError, match=message):
        beir(folder).load("eval" if "shar" in message else "test")


def test_qrels_without_a_header_are_read(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("10\td10\t1\n11\td11\t2.0\n")
    assert beir(folder).load("test").qrels.grades == {"10": {"d10": 1}, "11": {"d11": 2}}


def test_ids_may_have_blanks(folder: Path) -> None:
    write(folder, "corpus.jsonl", [{"_id": "Nairobi city", "text": "a city"}])
    write(folder, "qrels/test.tsv", [QRELS.strip(), "10\tNairobi city\t1"])
    test = beir(folder).load("test")
    assert test.qrels.grades == {"10": {"Nairobi city": 1}}


def test_a_text_of_null_is_empty(folder: Path) -> None:
    write(folder, "corpus.jsonl", [{"_id": "d10", "text": None}, {"_id": "d11", "text": "x"}])
    write(folder, "qrels/test.tsv", [QRELS.strip(), "10\td10\t1", "11\td11\t1"])
    with pytest.raises(InputError, match=r"corpus.jsonl:1: document 'd10' has no text; .*empty_text: drop"):
        beir(folder).load("test")
    assert beir(folder, empty_text="drop").load("test").dropped["documents without text"] == 1


def test_judgements_outside_the_pool_are_refused_or_dropped(folder: Path) -> None:
    judged = [f"10\td{i}\t1" for i in (10, 90, 91, 92, 93)]
    write(folder, "qrels/test.tsv", [QRELS.strip(), *judged])
    message = (
        r"test.tsv:3: document 'd90' is judged but is not among the 20 documents "
        r"\(4 such judgements; next 'd91', 'd92'\).*unjudged_pool: drop"
    )
    with pytest.raises(InputError, match=message):
        beir(folder).load("test")
    test = beir(folder, unjudged_pool="drop").load("test")
    assert test.qrels.grades == {"10": {"d10": 1}}
    assert test.dropped["judgements of documents outside the pool"] == 4


def test_a_missing_file_is_named_with_the_existing_ones(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no qrels/validation.tsv here \(has: corpus.jsonl, qrels/dev.tsv"):
        beir(folder, test_qrels="validation").load("test")


def test_collected_afriqa(collected: Path) -> None:
    root = str(collected / "afriqa_dev")
    found = {}
    for language in ("hau", "ibo", "kin", "zul"):
        dataset = BeirCollection(root=root, language=language, test_qrels="dev", metadata={"lang": language})
        splits = [dataset.load(split) for split in ("eval", "test")]
        assert {len(split.documents) for split in splits} == {956}
        found[language] = [len(split.topics) for split in splits]
    assert found == {"hau": [60, 162], "ibo": [75, 232], "kin": [66, 164], "zul": [75, 167]}
    assert sum(map(sum, found.values())) == 1001


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2)
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["_id", "text", "title", "metadata"]), VALUES), max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, RECORDS, st.lists(st.text(st.sampled_from("12\t -"), max_size=6), max_size=3))
def test_any_records_give_a_collection_or_an_input_error(
    tmp_path: Path, only_input_errors: Any, corpus: list[Any], queries: list[Any], qrels: list[str]
) -> None:
    write(tmp_path, "corpus.jsonl", corpus)
    write(tmp_path, "queries.jsonl", queries)
    write(tmp_path, "qrels/test.tsv", [QRELS.strip(), *qrels])
    with only_input_errors(str(tmp_path), "no topic of split"):
        beir(tmp_path, empty_text="drop").load("test")
