from pathlib import Path
from typing import Any

import pytest

from optical_ray.data.datasets.msmarco import MsMarcoBitext, MsMarcoCollection, MsMarcoRelevance
from optical_ray.data.interface import Counts
from optical_ray.types import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "collection.tsv").write_text("".join(f"{i}\tthe passage number {i}\n" for i in range(100)))
    (tmp_path / "hindi.tsv").write_text("".join(f"{i}\tअनुच्छेद संख्या है {i}\n" for i in range(100)))
    (tmp_path / "queries.dev.small.tsv").write_text("".join(f"{i}\tquery {i}\n" for i in range(20)))
    (tmp_path / "qrels.dev.small.tsv").write_text("".join(f"{i}\t0\t{i + 50}\t1\n" for i in range(10)))
    return tmp_path


def test_a_sample_keeps_the_judged_passages(folder: Path) -> None:
    def load(limit: int | None) -> Any:
        options: dict[str, Any] = {"root": str(folder), "language": "en", "document_language": "hi"}
        return MsMarcoCollection(**options, documents="hindi.tsv", max_documents=limit, eval_fraction=0.0).load("test")

    whole = load(None)
    assert (len(whole.topics), len(whole.documents)) == (10, 100)
    assert whole.dropped == {"topics without a relevant document": 10}
    ids = {limit: {document.doc_id for document in load(limit).documents} for limit in (1, 20, 50, 100)}
    assert [len(found) for found in ids.values()] == [10, 20, 50, 100]
    assert ids[1] < ids[20] < ids[50] < ids[100]
    assert load(20).dropped["documents beyond max_documents"] == 80


def test_translations_with_the_same_ids_are_bitext(folder: Path) -> None:
    dataset = MsMarcoBitext(root=str(folder), files={"en": "collection.tsv", "hi": "hindi.tsv"})
    assert dataset.languages() == ("hi",)
    counts = Counts()
    rows = [row for batch in dataset.batches("hi", counts) for row in batch.to_pylist()]
    assert rows[42] == {"id": "42", "pivot": "the passage number 42", "foreign": "अनुच्छेद संख्या है 42"}
    assert counts.kept == 100


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7\tधन्यवाद", r"collection.tsv has ended and .*hindi.tsv:101 has id '7'; the files must have the same ids"),
        ("7", "hindi.tsv:101: got 1 columns"),
    ],
)
def test_unequal_translations_are_refused(folder: Path, line: str, message: str) -> None:
    with open(folder / "hindi.tsv", "a") as stream:
        stream.write(line + "\n")
    dataset = MsMarcoBitext(root=str(folder), files={"en": "collection.tsv", "hi": "hindi.tsv"})
    with pytest.raises(InputError, match=message):
        list(dataset.batches("hi", Counts()))


def test_triples_of_texts_and_of_ids(folder: Path) -> None:
    (folder / "texts.tsv").write_text("q one\tgood\tbad\nq one\tgood\tworse\nq two\tfine\tbad\n")
    (folder / "ids.tsv").write_text("1\t50\t60\n1\t50\t61\n2\t51\t62\n")
    texts = MsMarcoRelevance(root=str(folder), triples="texts.tsv")
    assert [(pair.query, pair.document) for pair in texts.pairs(Counts())] == [("q one", "good"), ("q two", "fine")]
    assert [pair.negatives for pair in texts.pairs(Counts(), 5)] == [("bad", "worse"), ("bad",)]
    assert [pair.negatives for n in (0, 1) for pair in texts.pairs(Counts(), n)] == [(), (), ("bad",), ("bad",)]
    assert len(list(MsMarcoRelevance(root=str(folder), triples="texts.tsv", max_pairs=1).pairs(Counts()))) == 1
    options: dict[str, Any] = {"root": str(folder), "queries": "queries.dev.small.tsv", "collection": "collection.tsv"}
    ids = MsMarcoRelevance(**options, triples="ids.tsv")
    assert [pair.query for pair in ids.pairs(Counts())] == ["query 1", "query 2"]
    assert [pair.document for pair in ids.pairs(Counts())] == ["the passage number 50", "the passage number 51"]
    assert [pair.negatives for pair in ids.pairs(Counts(), 5)] == [
        ("the passage number 60", "the passage number 61"),
        ("the passage number 62",),
    ]
    (folder / "ids.tsv").write_text("1\t50\t60\n1\t500\t61\n")
    with pytest.raises(InputError, match=r"ids.tsv:2: passage '500' is not in collection.tsv"):
        list(ids.pairs(Counts()))


def test_bad_lines_are_skipped_within_their_budget(folder: Path) -> None:
    lines = [
        "q one\tgood\tbad",
        "no tabs at all",
        "q two\tfine\tbad",
        "\tgood\tbad",
        "two\tcolumns",
        "q six\twell\tbad",
    ]
    (folder / "texts.tsv").write_text("\n".join(lines) + "\n")
    options: dict[str, Any] = {"root": str(folder), "triples": "texts.tsv"}
    with pytest.raises(InputError, match=r"texts.tsv:2: got 1 columns, expected 3 \(query, relevant, other\)$"):
        list(MsMarcoRelevance(**options).pairs(Counts()))
    with pytest.raises(InputError, match=r"texts.tsv:5: .*; it is bad line 2, max_bad_lines allows 1"):
        list(MsMarcoRelevance(**options, max_bad_lines=1).pairs(Counts()))
    counts = Counts()
    found = list(MsMarcoRelevance(**options, max_bad_lines=2).pairs(counts))
    assert [pair.query for pair in found] == ["q one", "q two", "q six"]
    assert counts.dropped == {"bad lines": 2, "triples without text": 1}
    with pytest.raises(InputError, match="max_bad_lines: must be >= 0"):
        MsMarcoRelevance(**options, max_bad_lines=-1)


def test_lines_that_are_not_text_are_skipped_within_the_budget(folder: Path) -> None:
    (folder / "texts.tsv").write_bytes(b"q one\tgood\tbad\nq\xff\tfine\tbad\nq\0\tfine\tbad\nq four\tfine\tbad\n")
    options: dict[str, Any] = {"root": str(folder), "triples": "texts.tsv"}
    with pytest.raises(InputError, match=r"texts.tsv:2: byte 2 of the line is not UTF-8"):
        list(MsMarcoRelevance(**options).pairs(Counts()))
    with pytest.raises(InputError, match=r"texts.tsv:3: holds a NUL byte.*bad line 2, max_bad_lines allows 1"):
        list(MsMarcoRelevance(**options, max_bad_lines=1).pairs(Counts()))
    counts = Counts()
    found = list(MsMarcoRelevance(**options, max_bad_lines=2).pairs(counts))
    assert [pair.query for pair in found] == ["q one", "q four"]
    assert counts.dropped == {"bad lines": 2}


@pytest.mark.parametrize("table", ["queries", "collection"])
def test_bad_lines_of_the_tables_are_skipped_within_the_budget(folder: Path, table: str) -> None:
    (folder / "ids.tsv").write_text("1\t50\t60\n")
    tables = {"queries": "queries.dev.small.tsv", "collection": "collection.tsv"}
    path = folder / tables[table]
    path.write_bytes(b"only one column\nq\xff\tx\n" + path.read_bytes())
    options: dict[str, Any] = {"root": str(folder), "triples": "ids.tsv", **tables}
    with pytest.raises(InputError, match=rf"{tables[table]}:1: got 1 columns"):
        list(MsMarcoRelevance(**options).pairs(Counts()))
    with pytest.raises(InputError, match=rf"{tables[table]}:2: byte 2 .*bad line 2, max_bad_lines allows 1"):
        list(MsMarcoRelevance(**options, max_bad_lines=1).pairs(Counts()))
    counts = Counts()
    assert len(list(MsMarcoRelevance(**options, max_bad_lines=2).pairs(counts))) == 1
    assert counts.dropped == {"bad lines": 2}


def test_wrong_fields() -> None:
    with pytest.raises(InputError, match="need the pivot 'en' and another language"):
        MsMarcoBitext(root="x", files={"hi": "a", "sw": "b"})
    with pytest.raises(InputError, match="give both"):
        MsMarcoRelevance(root="x", queries="q")
    with pytest.raises(InputError, match="max_documents"):
        MsMarcoCollection(root="x", language="en", max_documents=0)
