import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optical_ray.data.datasets.lareqa import LareqaCollection
from optical_ray.types import InputError

SENTENCES = {"en": ["Ana has 3 cats.", "Ben has a dog."], "sw": ["Ana ana paka 3.", "Ben ana mbwa."]}


def content(language: str, **changes: Any) -> dict[str, Any]:
    first, second = SENTENCES[language]
    context = f"\ufeff{first} {second}"
    questions = [
        {"id": f"{i:03}", "question": f"{language}? {i}", "answers": [{"text": "", "answer_start": 5 if i % 2 else 20}]}
        for i in range(40)
    ]
    breaks = [[0, len(first) + 1], [len(first) + 2, len(context)]]
    paragraph = {"context": context, "sentence_breaks": breaks, "sentences": [], "qas": questions, **changes}
    return {"version": "1.1", "data": [{"title": "x", "paragraphs": [paragraph]}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for language in SENTENCES:
        (tmp_path / f"{language}.json").write_text(json.dumps(content(language)))
    return tmp_path


def test_the_sentence_with_the_answer_is_relevant(folder: Path) -> None:
    test = LareqaCollection(root=str(folder), language="sw", eval_fraction=0.0).load("test")
    assert [(document.doc_id, document.text) for document in test.documents] == [
        ("en:0.0.0", "Ana has 3 cats."),
        ("en:0.0.1", "Ben has a dog."),
    ]
    assert test.qrels.grades["000"] == {"en:0.0.1": 1}
    assert test.qrels.grades["001"] == {"en:0.0.0": 1}
    assert test.topics[1].text == "sw? 1"


def test_pools_of_several_languages(folder: Path) -> None:
    mixed = LareqaCollection(root=str(folder), language="sw", document_languages=("en", "sw")).load("test")
    assert [document.language for document in mixed.documents] == ["en", "en", "sw", "sw"]
    assert all(len(grades) == 2 for grades in mixed.qrels.grades.values())
    parts = [
        {topic.topic_id for topic in LareqaCollection(root=str(folder), language="sw").load(split).topics}
        for split in ("eval", "test")
    ]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 40


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sentence_breaks": None}, r"en.json: data\[0\].paragraphs\[0\]: expected a list 'sentence_breaks'"),
        ({"sentence_breaks": [[0]]}, r"sentence_breaks: expected pairs"),
        ({"context": 5.0}, r"context must be a text, got float"),
        ({"qas": [{"id": "1"}]}, r"qas\[0\]: expected a list 'answers'"),
        ({"qas": [{"id": "1", "answers": [{}]}]}, r"qas\[0\].answers: answer_start must be a whole number"),
    ],
)
def test_other_layouts_are_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    (folder / "en.json").write_text(json.dumps(content("en", **changes)))
    with pytest.raises(InputError, match=message):
        LareqaCollection(root=str(folder), language="sw").load("test")


def test_unknown_languages_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no th.json here \(has: en, sw\)"):
        LareqaCollection(root=str(folder), language="th").load("test")
    with pytest.raises(InputError, match="document_languages: the list is empty"):
        LareqaCollection(root=str(folder), language="sw", document_languages=())


KEYS = st.sampled_from(["data", "paragraphs", "qas", "context", "sentence_breaks", "answers", "id", "question"])
TREES = st.recursive(
    st.none() | st.integers(-3, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES, st.sampled_from(["data", "paragraphs", "context", "qas", "sentence_breaks"]))
def test_any_json_gives_a_collection_or_an_input_error(
    tmp_path: Path, only_input_errors: Any, tree: Any, key: str
) -> None:
    whole = content("en")
    article = whole["data"][0]
    place = {"data": whole, "paragraphs": article}.get(key, article["paragraphs"][0])
    place[key] = tree
    (tmp_path / "en.json").write_text(json.dumps(whole))
    with only_input_errors(str(tmp_path), "no topic of split"):
        LareqaCollection(root=str(tmp_path), language="en", empty_text="drop").load("test")
