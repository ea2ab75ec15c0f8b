"""The contract of every data set in each of its roles, tested with the example that it brings."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from optical_ray.data.examples import sentence
from optical_ray.data.interface import BITEXT_SCHEMA, BitextDataset, CollectionDataset, Counts, RelevanceDataset
from optical_ray.registry import members
from optical_ray.types import InputError

PACKAGE = "optical_ray.data.datasets"
ROLES = {"bitext": BitextDataset, "collection": CollectionDataset, "relevance": RelevanceDataset}
MEMBERS = [
    pytest.param(member, id=f"{role}-{kind}")
    for role, base in ROLES.items()
    for kind, member in members(PACKAGE, base).items()
]


class StandInDataset:
    """Stands in for every data set of the ``ir_datasets`` package, which downloads."""

    def __getattr__(self, name: str) -> Callable[[], Any]:
        def query(i: int) -> Any:
            return SimpleNamespace(query_id=f"{i}", text=sentence("sw", i))

        def document(i: int) -> Any:
            return SimpleNamespace(doc_id=f"{i}", default_text=lambda: sentence("en", i))

        def judged(i: int) -> Any:
            return SimpleNamespace(query_id=f"{i}", doc_id=f"{i}", relevance=1)

        makers = {"queries_iter": query, "docs_iter": document, "qrels_iter": judged}
        return (lambda: True) if name.startswith("has_") else lambda: map(makers[name], range(30))


@pytest.fixture(autouse=True)
def _stand_in_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=lambda name: StandInDataset()))


def options_of(member: type[Any], folder: Path) -> dict[str, Any]:
    """The options of the member's own example, as a spec states them."""
    folder.mkdir(exist_ok=True)
    return {"kind": kind_of(member), **member.example(folder)}


def kind_of(member: type[Any]) -> str:
    return str(fields(member)[0].default)


@pytest.fixture
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return TypeAdapter(request.param).validate_python(options_of(request.param, tmp_path / "a"))


@pytest.mark.parametrize("member", MEMBERS)
def test_a_spec_can_state_it(member: type[Any], tmp_path: Path) -> None:
    options = options_of(member, tmp_path)
    made = TypeAdapter(member).validate_python(options)
    assert isinstance(made, member)
    assert fields(member)[0].name == "kind"
    assert made.kind == options["kind"]
    with pytest.raises(ValidationError, match="rooot"):
        TypeAdapter(member).validate_python({**options, "rooot": "x"})
    with pytest.raises(FrozenInstanceError):
        made.kind = "other"
    assert hash(made) == hash(TypeAdapter(member).validate_python(options))


LANGUAGE_FIELDS = ("language", "document_language", "pivot")


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("value", [False, None, "", 7])
def test_what_yaml_does_not_read_as_text_is_no_language(member: type[Any], value: Any, tmp_path: Path) -> None:
    options = options_of(member, tmp_path)
    for field in fields(member):
        if field.name in LANGUAGE_FIELDS and not (value is None and field.default is None):
            with pytest.raises(ValidationError, match="expected a language's code"):
                TypeAdapter(member).validate_python({**options, field.name: value})


@pytest.mark.parametrize("dataset", MEMBERS, indirect=True)
def test_the_fingerprint_depends_on_the_content_and_not_on_the_path(dataset: Any, tmp_path: Path) -> None:
    moved = TypeAdapter(type(dataset)).validate_python(options_of(type(dataset), tmp_path / "b"))
    assert dataset.fingerprint() == moved.fingerprint()
    assert len(bytes.fromhex(dataset.fingerprint())) == 32


BITEXT = [param for param in MEMBERS if param.id.startswith("bitext")]
COLLECTION = [param for param in MEMBERS if param.id.startswith("collection")]
RELEVANCE = [param for param in MEMBERS if param.id.startswith("relevance")]


@pytest.mark.parametrize("dataset", BITEXT, indirect=True)
def test_bitext_is_complete_and_counted(dataset: BitextDataset) -> None:
    assert list(dataset.languages()) == sorted(dataset.languages())
    assert dataset.languages()
    assert "\n" not in dataset.licence
    for language in dataset.languages():
        counts, again = Counts(), Counts()
        batches = list(dataset.batches(language, counts))
        assert all(batch.schema == BITEXT_SCHEMA for batch in batches)
        assert sum(len(batch) for batch in batches) == counts.kept > 0
        assert all(text.strip() for batch in batches for row in batch.to_pylist() for text in row.values())
        assert list(dataset.batches(language, again)) == batches
        assert again == counts


@pytest.mark.parametrize("dataset", BITEXT, indirect=True)
def test_an_unknown_language_is_refused_with_the_known_ones(dataset: BitextDataset) -> None:
    with pytest.raises(InputError, match=rf"'xx'.*\(.*{dataset.languages()[-1]}"):
        list(dataset.batches("xx", Counts()))


@pytest.mark.parametrize("dataset", COLLECTION, indirect=True)
def test_collections_are_complete(dataset: CollectionDataset) -> None:
    splits = {split: dataset.load(split) for split in ("eval", "test")}
    for split, collection in splits.items():
        assert collection.split == split
        topics, documents = [t.topic_id for t in collection.topics], [d.doc_id for d in collection.documents]
        assert len(set(topics)) == len(topics) > 0
        assert len(set(documents)) == len(documents) > 0
        assert set(collection.qrels.grades) == set(topics)
        assert {doc for grades in collection.qrels.grades.values() for doc in grades} <= set(documents)
        assert all(unit.text.strip() for unit in (*collection.topics, *collection.documents))
        assert dataset.load(split) == collection
        assert collection.licence == dataset.licence
        assert "\n" not in dataset.licence
        assert all(unit.strip() for unit in (*topics, *documents))
    assert not {t.topic_id for t in splits["eval"].topics} & {t.topic_id for t in splits["test"].topics}
    with pytest.raises(InputError, match="split must be eval or test"):
        dataset.load("train")


@pytest.mark.parametrize("dataset", RELEVANCE, indirect=True)
def test_relevance_pairs_are_complete(dataset: RelevanceDataset) -> None:
    pairs = list(dataset.pairs(Counts()))
    assert pairs
    assert list(dataset.pairs(Counts())) == pairs
    assert all(pair.query.strip() and pair.document.strip() for pair in pairs)
    assert "\n" not in dataset.licence


def test_the_room_needs_no_torch() -> None:
    program = f"""
import sys
from optical_ray.data.interface import BitextDataset
from optical_ray.registry import members
members({PACKAGE!r}, BitextDataset)
print(sorted(sys.modules))
"""
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for heavy in ("torch", "ray", "pydantic", "transformers", "pandas", "ir_datasets", "datasets"):
        assert f"'{heavy}'" not in loaded
