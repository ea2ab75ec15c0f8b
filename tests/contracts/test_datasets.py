"""What every dataset adapter keeps, whichever role it plays."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

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

SENTENCES = {
    "en": ["set an alarm now", "what is this thing", "hello there my friend"],
    "sw": ["weka kengele sasa hivi", "hiki ni kitu gani", "habari rafiki yangu mpendwa"],
}


def parallel_text(root: Path) -> dict[str, Any]:
    for language, lines in SENTENCES.items():
        (root / f"Web.en-sw.{language}").write_text("\n".join(lines) + "\n")
    return {"root": str(root)}


def trec(root: Path) -> dict[str, Any]:
    (root / "topics.tsv").write_text("".join(f"{i}\t{SENTENCES['sw'][i % 3]} {i}\n" for i in range(30)))
    (root / "documents.tsv").write_text("".join(f"{i}\t{SENTENCES['en'][i % 3]} {i}\n" for i in range(30)))
    (root / "qrels.txt").write_text("".join(f"{i} 0 {i} 1\n" for i in range(30)))
    return {"root": str(root), "language": "sw"}


def mtop(root: Path) -> dict[str, Any]:
    for language, texts in SENTENCES.items():
        (root / language).mkdir()
        for partition in ("train", "eval", "test"):
            rows = (
                (
                    f"{partition}{i}",
                    f"IN:{i % 3}",
                    "0:3:SL:X",
                    f"{texts[i % 3]} {partition} {i}",
                    "alarm",
                    language,
                    "",
                    "{}",
                )
                for i in range(9)
            )
            (root / language / f"{partition}.txt").write_text("".join("\t".join(row) + "\n" for row in rows))
    return {"root": str(root)}


def massive(root: Path) -> dict[str, Any]:
    for language, locale in (("en", "en-US"), ("sw", "sw-KE")):
        records = (
            {"id": str(i), "partition": partition, "intent": f"{i % 3}", "scenario": "", "locale": locale}
            | {"utt": f"{SENTENCES[language][i % 3]} {i}", "annot_utt": f"[what : it] {i}"}
            for i, partition in enumerate(["train"] * 9 + ["dev"] * 9 + ["test"] * 9)
        )
        (root / f"{locale}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return {"root": str(root)}


def parallel_table(root: Path) -> dict[str, Any]:
    for partition in ("train", "dev", "test"):
        rows = (
            (f"{partition}{i}", f"topic {i % 3}", *(f"{SENTENCES[k][i % 3]} {partition} {i}" for k in ("en", "sw")))
            for i in range(9)
        )
        lines = ["\t".join(row) for row in (("key", "topic", "en", "sw"), *rows)]
        (root / f"{partition}.tsv").write_text("\n".join(lines) + "\n")
    return {"root": str(root)}


def beir(root: Path) -> dict[str, Any]:
    def lines(name: str, language: str) -> None:
        records = ({"_id": f"{i}", "title": "", "text": f"{SENTENCES[language][i % 3]} {i}"} for i in range(20))
        (root / name).write_text("".join(json.dumps(record) + "\n" for record in records))

    lines("corpus.jsonl", "en")
    lines("queries.jsonl", "sw")
    (root / "qrels").mkdir()
    for split, ids in (("train", range(8)), ("dev", range(8, 14)), ("test", range(14, 20))):
        rows = ("query-id\tcorpus-id\tscore", *(f"{i}\t{i}\t1" for i in ids))
        (root / "qrels" / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    return {"root": str(root)}


def msmarco(root: Path) -> dict[str, Any]:
    for name, language in (("queries.dev.small.tsv", "sw"), ("collection.tsv", "en"), ("sw.tsv", "sw")):
        rows = (f"{i}\t{SENTENCES[language][i % 3]} {i} {'abcdefghij'[i % 10]}\n" for i in range(30))
        (root / name).write_text("".join(rows))
    (root / "qrels.dev.small.tsv").write_text("".join(f"{i}\t0\t{i}\t1\n" for i in range(30)))
    (root / "triples.train.small.tsv").write_text("".join(f"query {i}\tgood {i}\tbad\n" for i in range(5)))
    return {"root": str(root)}


def jsonl(root: Path) -> dict[str, Any]:
    lines = (json.dumps({"query": text, "document": f"answer {text}"}) for text in SENTENCES["en"])
    (root / "examples.jsonl").write_text("\n".join(lines) + "\n")
    return {"root": str(root)}


def lareqa(root: Path) -> dict[str, Any]:
    for language, texts in SENTENCES.items():
        context = ". ".join(texts)
        starts = [context.index(text) for text in texts]
        breaks = [[start, start + len(text)] for start, text in zip(starts, texts, strict=True)]
        qas = [
            {
                "id": f"q{i}",
                "question": f"{texts[i % 3]} {i}?",
                "answers": [{"answer_start": starts[i % 3] + 2, "text": ""}],
            }
            for i in range(20)
        ]
        paragraph = {"context": context, "sentence_breaks": breaks, "qas": qas}
        (root / f"{language}.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    return {"root": str(root), "language": "sw"}


class StandInDataset:
    """What an adapter asks of a data set of the ``ir_datasets`` package."""

    def __getattr__(self, name: str) -> Callable[[], Any]:
        def query(i: int) -> Any:
            return SimpleNamespace(query_id=f"{i}", text=f"{SENTENCES['sw'][i % 3]} {i}")

        def document(i: int) -> Any:
            return SimpleNamespace(doc_id=f"{i}", default_text=lambda: f"{SENTENCES['en'][i % 3]} {i}")

        def judged(i: int) -> Any:
            return SimpleNamespace(query_id=f"{i}", doc_id=f"{i}", relevance=1)

        makers = {"queries_iter": query, "docs_iter": document, "qrels_iter": judged}
        return (lambda: True) if name.startswith("has_") else lambda: map(makers[name], range(30))


@pytest.fixture(autouse=True)
def _stand_in_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=lambda name: StandInDataset()))


SAMPLES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "bitext-cldr_annotations": lambda root: {},
    "bitext-massive": massive,
    "bitext-msmarco": lambda root: {**msmarco(root), "files": {"en": "collection.tsv", "sw": "sw.tsv"}},
    "bitext-mtop": mtop,
    "bitext-parallel_table": parallel_table,
    "bitext-parallel_text": parallel_text,
    "bitext-udhr": lambda root: {},
    "bitext-ui_messages": lambda root: {},
    "collection-cldr_annotations": lambda root: {"language": "sw"},
    "collection-beir": lambda root: {**beir(root), "language": "sw"},
    "collection-ir_datasets": lambda root: {"dataset": "stand-in", "language": "sw"},
    "collection-lareqa": lareqa,
    "collection-massive": lambda root: {**massive(root), "language": "sw"},
    "collection-msmarco": lambda root: {**msmarco(root), "language": "sw"},
    "collection-mtop": lambda root: {**mtop(root), "language": "sw"},
    "collection-parallel_table": lambda root: {**parallel_table(root), "language": "sw"},
    "collection-trec": trec,
    "relevance-cldr_annotations": lambda root: {},
    "relevance-beir": beir,
    "relevance-jsonl": jsonl,
    "relevance-massive": massive,
    "relevance-msmarco": msmarco,
    "relevance-mtop": mtop,
    "relevance-parallel_table": parallel_table,
}
"""For each member the options of a small sample, which is written below the given folder."""


def sample_of(member: type[Any], root: Path) -> dict[str, Any]:
    role = next(role for role, base in ROLES.items() if issubclass(member, base))
    root.mkdir(exist_ok=True)
    return {"kind": kind_of(member), **SAMPLES[f"{role}-{kind_of(member)}"](root)}


def kind_of(member: type[Any]) -> str:
    return str(fields(member)[0].default)


@pytest.fixture
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return TypeAdapter(request.param).validate_python(sample_of(request.param, tmp_path / "a"))


def test_every_member_has_a_sample() -> None:
    assert {param.id for param in MEMBERS} == set(SAMPLES)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_block_of_yaml_makes_it(member: type[Any], tmp_path: Path) -> None:
    options = sample_of(member, tmp_path)
    made = TypeAdapter(member).validate_python(options)
    assert isinstance(made, member)
    assert fields(member)[0].name == "kind"
    assert made.kind == options["kind"]
    with pytest.raises(ValidationError, match="rooot"):
        TypeAdapter(member).validate_python({**options, "rooot": "x"})
    with pytest.raises(FrozenInstanceError):
        made.kind = "other"
    assert hash(made) == hash(TypeAdapter(member).validate_python(options))


@pytest.mark.parametrize("dataset", MEMBERS, indirect=True)
def test_the_fingerprint_is_of_the_content_not_of_the_place(dataset: Any, tmp_path: Path) -> None:
    moved = TypeAdapter(type(dataset)).validate_python(sample_of(type(dataset), tmp_path / "b"))
    assert dataset.fingerprint() == moved.fingerprint()
    assert len(bytes.fromhex(dataset.fingerprint())) == 32


BITEXT = [param for param in MEMBERS if param.id.startswith("bitext")]
COLLECTION = [param for param in MEMBERS if param.id.startswith("collection")]
RELEVANCE = [param for param in MEMBERS if param.id.startswith("relevance")]


@pytest.mark.parametrize("dataset", BITEXT, indirect=True)
def test_bitext_is_whole_and_counted(dataset: BitextDataset) -> None:
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
def test_a_language_that_is_not_there_is_refused_with_those_that_are(dataset: BitextDataset) -> None:
    with pytest.raises(InputError, match=rf"'xx'.*\(.*{dataset.languages()[-1]}"):
        list(dataset.batches("xx", Counts()))


@pytest.mark.parametrize("dataset", COLLECTION, indirect=True)
def test_collections_are_whole(dataset: CollectionDataset) -> None:
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
        assert all(unit.split() == [unit] for unit in (*topics, *documents))
    assert not {t.topic_id for t in splits["eval"].topics} & {t.topic_id for t in splits["test"].topics}
    with pytest.raises(InputError, match="split must be eval or test"):
        dataset.load("train")


@pytest.mark.parametrize("dataset", RELEVANCE, indirect=True)
def test_relevance_pairs_are_whole(dataset: RelevanceDataset) -> None:
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
