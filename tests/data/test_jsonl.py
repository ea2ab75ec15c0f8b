"""A retriever's training examples as JSON lines, in the forms of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optical_ray.data.datasets.jsonl import JsonlRelevance
from optical_ray.data.interface import Counts
from optical_ray.types import InputError, RelevancePair

IDS = {"queries": "queries.tsv", "collection": "collection.tsv"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("examples")
    (root / "queries.tsv").write_text("".join(f"q{i}\tquery {i}\n" for i in range(3)))
    (root / "collection.tsv").write_text("".join(f"{i}\tpassage {i}\n" for i in range(6)))
    return root


def read(folder: Path, lines: list[Any], counts: Counts | None = None, **options: Any) -> list[RelevancePair]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "examples.jsonl").write_text(text + "\n")
    return list(JsonlRelevance(root=str(folder), **options).pairs(counts or Counts(), negatives=9))


def test_texts_with_and_without_negatives_and_scores(folder: Path) -> None:
    whole = {"query": " one ", "document": "yes", "negatives": ["no", "never"], "scores": [3, -1.5, 0]}
    assert read(folder, [whole, {"query": "two", "document": "yes"}, {"query": "", "document": "x"}]) == [
        RelevancePair("one", "yes", ("no", "never"), (3.0, -1.5, 0.0)),
        RelevancePair("two", "yes"),
    ]
    counts = Counts()
    blank = {"query": "q", "document": "d", "negatives": ["", "n"], "scores": [3, 2, 1]}
    assert read(folder, [blank], counts) == [RelevancePair("q", "d", ("n",), (3.0, 1.0))]
    assert counts.dropped == {"negatives without text": 1}


def test_only_the_requested_negatives_are_read(folder: Path) -> None:
    read(folder, [{"query": "q", "document": "d", "negatives": ["a", "b"], "scores": [3, 2, 1]}])
    dataset = JsonlRelevance(root=str(folder))
    assert [pair.negatives for n in range(3) for pair in dataset.pairs(Counts(), n)] == [(), ("a",), ("a", "b")]
    assert [pair.scores for n in range(2) for pair in dataset.pairs(Counts(), n)] == [(3.0,), (3.0, 2.0)]


@pytest.mark.parametrize(
    "line",
    [
        ["q1", ["3", 2.5], ["0", 0.5], [5, -1]],
        {"query_id": "q1", "document_ids": ["3", 0, "5"], "scores": [2.5, 0.5, -1]},
        {"query_id": "q1", "document_ids": "['3', 0, 5]", "scores": "[2.5, 0.5, -1]"},
    ],
)
def test_ids_with_scores_in_the_forms_of_other_tools(folder: Path, line: Any) -> None:
    expected = RelevancePair("query 1", "passage 3", ("passage 0", "passage 5"), (2.5, 0.5, -1.0))
    assert read(folder, [line], **IDS) == [expected]


def test_ids_without_scores(folder: Path) -> None:
    assert read(folder, [["q0", "1", "2"]], **IDS) == [RelevancePair("query 0", "passage 1", ("passage 2",))]


@pytest.mark.parametrize(
    ("line", "options", "message"),
    [
        ("{not json", {}, "examples.jsonl:1: not JSON"),
        ({"query": "a"}, {}, r"examples.jsonl:1: expected an example of texts.*The forms: "),
        (["q0", ["1", 2.0]], {}, "need `queries` and `collection`"),
        ({"query": "a", "document": "b"}, IDS, "expected an example of ids"),
        (["q0", ["1", 2.0], "2"], IDS, "passages have a score"),
        (["q9", ["1", 2.0]], IDS, "query 'q9' is not in queries.tsv or collection.tsv"),
        (["q0", ["1", 2.0], ["77", 1.0]], IDS, "passage '77' is not in"),
        ({"query": "a", "document": "b", "scores": [1, 2]}, {}, "scores: got 2, expected 1"),
        ({"query": "a", "document": "b", "negatives": "c"}, {}, "expected a list, got str"),
        ({"query": "a", "document": "b", "scores": ["x"]}, {}, "a score must be a number of at most 1e\\+30, got 'x'"),
        ({"query": "a", "document": "b", "scores": [int("9" * 400)]}, {}, "a score must be a number"),
        ({"query": "a", "document": "b", "scores": [1e39]}, {}, "a score must be a number"),
        ({"query_id": "q0", "document_ids": []}, IDS, "names no document"),
        (
            {"query_id": "q0", "document_ids": "[1, f()]"},
            IDS,
            "expected a list, got the text '.1, f\\(\\).'",
        ),
        ({"query_id": "q0", "document_ids": "[" * 9999}, IDS, "expected a list, got the text"),
        ({"query_id": "q0", "document_ids": "1, 2"}, IDS, "expected a list, got str"),
        ({"query": 1.5, "document": "b"}, {}, "the query must be a text, got float"),
    ],
)
def test_a_malformed_example_is_refused_with_its_line(folder: Path, line: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(folder, [line], **options)
    good = {"query": "good", "document": "d"} if not options else ["q0", "1"]
    counts = Counts()
    assert len(read(folder, [line, good], counts, max_bad_lines=1, **options)) == 1
    assert counts.dropped == {"bad lines": 1}


def test_lines_that_are_not_text_have_the_same_budget(folder: Path, tmp_path: Path) -> None:
    good = json.dumps(["q0", "1"]).encode()
    (tmp_path / "examples.jsonl").write_bytes(good + b'\n["q0", "\xff"]\n' + good + b'\n["q1", "\0"]\n' + good)
    (tmp_path / "queries.tsv").write_bytes(b"q0\tquery\nq7\nq1\tquery\n")
    (tmp_path / "collection.tsv").write_bytes(b"5\tp\xffssage\n1\tpassage\n")

    def found(allowed: int, counts: Counts) -> int:
        dataset = JsonlRelevance(root=str(tmp_path), max_bad_lines=allowed, **IDS)  # type: ignore[arg-type]
        return len(list(dataset.pairs(counts)))

    for allowed, message in enumerate(
        (
            r"examples\.jsonl:2: byte 9 of the line is not UTF-8 \(0xff\)",
            r"examples\.jsonl:4: holds a NUL byte.*bad line 2, max_bad_lines allows 1",
            r"queries\.tsv:2: got 1 columns",
            r"collection\.tsv:1: byte 4 of the line is not UTF-8",
        )
    ):
        with pytest.raises(InputError, match=message):
            found(allowed, Counts())
    counts = Counts()
    assert found(4, counts) == 3
    assert counts.dropped == {"bad lines": 4}


SCALARS = st.none() | st.booleans() | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES)
def test_any_json_gives_an_example_or_an_input_error(folder: Path, value: Any) -> None:
    for options in ({}, IDS):
        try:
            read(folder, [json.dumps(value)], **options)
        except InputError as error:
            said = str(error)
        else:
            said = "examples.jsonl:1: an example"
        assert "examples.jsonl:1: " in said


def test_wrong_fields() -> None:
    with pytest.raises(InputError, match="give both"):
        JsonlRelevance(root="x", queries="q")
    with pytest.raises(InputError, match="max_bad_lines: must be >= 0"):
        JsonlRelevance(root="x", max_bad_lines=-2)
