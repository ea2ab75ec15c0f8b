import io
import json
import lzma
import sys
import xml.etree.ElementTree
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optical_ray.data.datasets.beir import BeirCollection
from optical_ray.data.datasets.ir_datasets import IrDatasetsCollection
from optical_ray.data.datasets.trec import TrecCollection
from optical_ray.types import InputError


class Named:
    """A data set with the package's interface: topics ``first`` to ``last`` of a small collection."""

    def __init__(self, first: int, last: int) -> None:
        self.range = range(first, last)

    def __getattr__(self, name: str) -> Any:
        return {"has_queries": lambda: True, "has_docs": lambda: True, "has_qrels": lambda: bool(self.range)}[name]

    def queries_iter(self) -> Iterator[Any]:
        return (SimpleNamespace(query_id=f"{i}", text=f"swali {i}") for i in self.range)

    def docs_iter(self) -> Iterator[Any]:
        texts = ["", *(f"passage {i}" for i in range(1, 30))]
        return (SimpleNamespace(doc_id=f"{i}", default_text=lambda t=text: t) for i, text in enumerate(texts))

    def qrels_iter(self) -> Iterator[Any]:
        return (SimpleNamespace(query_id=f"{i}", doc_id=f"{i}", relevance=1 + i % 2) for i in self.range)


class Broken(Named):
    def docs_iter(self) -> Iterator[Any]:
        raise OSError("no network")


class Failing(Named):
    """Reads ``whole`` items of ``what``, then raises what the package raises on a malformed file."""

    def __init__(self, what: str, whole: int, error: Exception) -> None:
        super().__init__(1, 9)
        self.what, self.whole, self.error = what, whole, error

    def _cut(self, what: str, items: Iterator[Any]) -> Iterator[Any]:
        if what != self.what:
            yield from items
            return
        yield from islice(items, self.whole)
        raise self.error

    def queries_iter(self) -> Iterator[Any]:
        return self._cut("queries", super().queries_iter())

    def docs_iter(self) -> Iterator[Any]:
        return self._cut("docs", super().docs_iter())

    def qrels_iter(self) -> Iterator[Any]:
        return self._cut("qrels", super().qrels_iter())


ERRORS = [
    ValueError("invalid literal for int() with base 10: 'high'"),
    UnicodeDecodeError("utf-8", b"caf\xe9", 3, 4, "bad byte"),
    EOFError("ended early"),
    zlib.error("invalid block type"),
    lzma.LZMAError("corrupt"),
    json.JSONDecodeError("Expecting value", "x", 0),
    xml.etree.ElementTree.ParseError("mismatched tag"),
    KeyError("id"),
    IndexError("list index out of range"),
    TypeError("missing 1 argument"),
    AssertionError(),
]


@pytest.fixture(autouse=True)
def _package(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"x/test": Named(10, 30), "x/dev": Named(1, 10), "x": Named(0, 0), "x/broken": Broken(1, 5)}
    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=lambda name: known[name]))


def test_splits_and_counts() -> None:
    dataset = IrDatasetsCollection(dataset="x/test", eval_dataset="x/dev", language="sw", document_language="sw")
    test, dev = dataset.load("test"), dataset.load("eval")
    assert [len(part.topics) for part in (test, dev)] == [20, 9]
    assert (len(test.documents), test.dropped) == (29, {"documents without text": 1})
    assert {document.language for document in test.documents} == {"sw"}
    divided = IrDatasetsCollection(dataset="x/test", language="sw", relevance_level=2)
    assert sum(len(divided.load(split).topics) for split in ("eval", "test")) == 10
    assert len(IrDatasetsCollection(dataset="x/test", language="sw", max_documents=22).load("test").documents) == 22


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "y"}, "ir_datasets has no 'y'; its ids are listed"),
        ({"dataset": "x"}, "ir_datasets x: has no qrels; name a subset"),
        ({"dataset": "x/broken"}, r"docs cannot be read \(no network\); the package downloads"),
        ({"dataset": "x/dev", "empty_text": "refuse"}, "x/dev docs:1: document '0' has no text"),
    ],
)
def test_unreadable_data_is_reported(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        IrDatasetsCollection(language="sw", **options).load("test")


@given(st.sampled_from(["queries", "docs", "qrels"]), st.integers(0, 5), st.sampled_from(ERRORS))
def test_a_malformed_file_is_one_message(what: str, whole: int, error: Exception) -> None:
    package = SimpleNamespace(load=lambda name: Failing(what, whole, error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ir_datasets", package)
        with pytest.raises(InputError, match=rf"ir_datasets x/bad: {what} .*cannot be read \(.*fetch a file .* again"):
            IrDatasetsCollection(dataset="x/bad", language="sw").load("test")


def test_a_data_set_that_does_not_load_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Any:
        raise json.JSONDecodeError("Expecting value", "x", 0)

    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=load))
    with pytest.raises(InputError, match="ir_datasets x/bad: the data set cannot be read"):
        IrDatasetsCollection(dataset="x/bad", language="sw").load("test")


@pytest.mark.parametrize("grade", [10**7, 0.5, None])
def test_an_invalid_grade_is_refused(monkeypatch: pytest.MonkeyPatch, grade: Any) -> None:
    named = Named(1, 9)
    judged = SimpleNamespace(query_id="1", doc_id="1", relevance=grade)
    monkeypatch.setattr(named, "qrels_iter", lambda: iter([judged]))
    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=lambda name: named))
    with pytest.raises(InputError, match=r"ir_datasets x qrels:1: the grade must be a whole number"):
        IrDatasetsCollection(dataset="x", language="sw").load("test")


def test_shared_queries_are_refused() -> None:
    with pytest.raises(InputError, match="splits share no queries"):
        IrDatasetsCollection(dataset="x/test", eval_dataset="x/test", language="sw").load("eval")


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(InputError, match="pip install ir_datasets"):
        IrDatasetsCollection(dataset="x", language="sw").load("test")


@pytest.fixture
def real_package(monkeypatch: pytest.MonkeyPatch, _package: None) -> Any:
    monkeypatch.delitem(sys.modules, "ir_datasets")
    return pytest.importorskip("ir_datasets")


def test_trec_files_are_read_as_the_package_reads_them(tmp_path: Path, real_package: Any) -> None:
    (tmp_path / "topics.tsv").write_text("".join(f"{i:03}\tswali la «{i}»\n" for i in range(20)))
    (tmp_path / "documents.tsv").write_text("".join(f"d{i}\tkifungu \u2028 {i}\n" for i in range(20)))
    (tmp_path / "qrels.txt").write_text("".join(f"{i:03} Q0 d{i} {i % 3}\n" for i in range(20)))
    made = real_package.create_dataset(
        docs_tsv=str(tmp_path / "documents.tsv"),
        queries_tsv=str(tmp_path / "topics.tsv"),
        qrels_trec=str(tmp_path / "qrels.txt"),
    )
    real_package.registry.register("local-trec", made)
    ours = TrecCollection(root=str(tmp_path), language="sw", eval_fraction=0.0).load("test")
    theirs = IrDatasetsCollection(dataset="local-trec", language="sw", eval_fraction=0.0).load("test")
    assert ours.topics == theirs.topics
    assert ours.documents == theirs.documents
    assert ours.qrels == theirs.qrels


def test_beir_qrels_are_read_as_the_package_reads_them(tmp_path: Path, real_package: Any) -> None:
    """The package's own reader of BEIR's qrels, over the same file."""
    from ir_datasets.datasets.beir import BeirQrels

    (tmp_path / "qrels").mkdir()
    rows = [f"q{i}\td{i}\t{1 + i % 2}" for i in range(9)]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(("query-id\tcorpus-id\tscore", *rows)) + "\n")
    for name, mark in (("corpus", "d"), ("queries", "q")):
        lines = (f'{{"_id": "{mark}{i}", "text": "text {i}"}}\n' for i in range(9))
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    content = (tmp_path / "qrels" / "test.tsv").read_bytes()
    read = BeirQrels(SimpleNamespace(stream=lambda: io.BytesIO(content)), {})
    theirs = {(row.query_id, row.doc_id): row.relevance for row in read.qrels_iter()}
    collection = BeirCollection(root=str(tmp_path), language="sw").load("test")
    ours = {(t, d): grade for t, grades in collection.qrels.grades.items() for d, grade in grades.items()}
    assert ours == theirs


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"qrels": b"1 0 a high\n"}, r"local-bad: qrels cannot be read \(invalid literal"),
        ({"queries": b"1\tone\n2\tcaf\xe9\n"}, "local-bad: queries .*cannot be read .*codec"),
        ({"qrels": b"1 0 a 99999999999999999999\n"}, "qrels:1: the grade must be a whole number of at most six"),
        ({"docs": b" \tdoc\n"}, "docs:1: document id ' ' is empty"),
    ],
)
def test_malformed_files_of_the_package_are_one_message(
    tmp_path: Path, real_package: Any, files: dict[str, bytes], message: str
) -> None:
    content = {"queries": b"1\tone\n", "docs": b"a\tdoc a\n", "qrels": b"1 0 a 1\n", **files}
    for name, written in content.items():
        (tmp_path / name).write_bytes(written)
    places = {"docs_tsv": "docs", "queries_tsv": "queries", "qrels_trec": "qrels"}
    made = real_package.create_dataset(**{option: str(tmp_path / name) for option, name in places.items()})
    load = SimpleNamespace(load=lambda name: made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ir_datasets", load)
        with pytest.raises(InputError, match=message):
            IrDatasetsCollection(dataset="local-bad", language="sw", eval_fraction=0.0).load("test")
