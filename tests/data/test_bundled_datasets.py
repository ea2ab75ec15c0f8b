import lzma
from pathlib import Path

import pytest

from optical_ray.data.datasets.cldr_annotations import LANGUAGES, CldrBitext, CldrCollection, CldrRelevance
from optical_ray.data.datasets.udhr import UdhrBitext
from optical_ray.data.datasets.ui_messages import UiMessagesBitext
from optical_ray.data.interface import BitextDataset, Counts
from optical_ray.types import InputError


def pairs(dataset: BitextDataset, language: str) -> tuple[dict[str, tuple[str, str]], Counts]:
    counts = Counts()
    found = {
        row["id"]: (row["pivot"], row["foreign"])
        for batch in dataset.batches(language, counts)
        for row in batch.to_pylist()
    }
    assert len(found) == counts.kept, "ids are unique"
    return found, counts


def test_every_language_gives_the_same_pairs() -> None:
    dataset = CldrBitext()
    assert dataset.languages() == ("de", "en", "fr", "ha", "hi", "mr", "so", "sw", "yo")
    by_language = {language: pairs(dataset, language) for language in dataset.languages()}
    english, counts = by_language["en"]
    assert len(english) == 2257
    assert counts.dropped == {"keywords missing in one of the parallel languages": 305}
    for found, also in by_language.values():
        assert also == counts
        assert list(found) == list(english)
        assert {key: pivot for key, (pivot, _) in found.items()} == {key: pivot for key, (pivot, _) in english.items()}
        assert all(foreign.strip() for _, foreign in found.values())
    assert all(pivot == foreign for pivot, foreign in english.values())
    assert by_language["so"][0]["007B/name"] == ("open curly bracket", "fur baraakeetka qalooca")


def test_content_and_languages_select_pairs() -> None:
    assert len(pairs(CldrBitext(content="names"), "sw")[0]) == 1281
    assert len(pairs(CldrBitext(content="keywords"), "sw")[0]) == 976
    assert len(pairs(CldrBitext(parallel_languages=None), "zu")[0]) == 2153
    assert CldrBitext(parallel_languages=None).languages() == LANGUAGES
    only = pairs(CldrBitext(content="keywords", parallel_languages=("sw",)), "sw")[0]
    assert len(only) > 976
    prints = {
        dataset.fingerprint()
        for dataset in (CldrBitext(), CldrBitext(content="names"), CldrBitext(parallel_languages=None))
    }
    assert len(prints) == 3
    assert (
        CldrBitext(parallel_languages=("sw", "de")).fingerprint()
        == CldrBitext(parallel_languages=("de", "sw")).fingerprint()
    )


@pytest.mark.parametrize(
    ("language", "eval_topics", "test_topics"),
    [("en", 243, 426), ("sw", 243, 429), ("so", 235, 421), ("mr", 242, 430), ("ha", 242, 431), ("yo", 234, 423)],
)
def test_collection_sizes(language: str, eval_topics: int, test_topics: int) -> None:
    for split, num_topics, num_documents in (("eval", eval_topics, 243), ("test", test_topics, 431)):
        collection = CldrCollection(language=language).load(split)
        assert (len(collection.topics), len(collection.documents)) == (num_topics, num_documents)
        assert collection.dropped == {"topics without keywords": num_documents - num_topics}
        assert {topic.language for topic in collection.topics} == {language}
        assert {document.language for document in collection.documents} == {"en"}
        for topic in collection.topics:
            grades = collection.qrels.grades[topic.topic_id]
            assert [doc for doc, grade in grades.items() if grade == 2] == [topic.topic_id]
            assert set(grades.values()) <= {1, 2}
        assert collection.qrels.relevance_level == 2


def test_grade_one_is_the_same_subgroup() -> None:
    collection = CldrCollection(language="en").load("test")
    names = {document.doc_id: document.text for document in collection.documents}
    for grades in collection.qrels.grades.values():
        if names[max(grades, key=lambda doc: grades[doc])] == "grinning face with sweat":
            assert {names[doc] for doc, grade in grades.items() if grade == 1} <= set(names.values())
            assert all("face" in names[doc] for doc in grades)
            return
    raise AssertionError("grinning face with sweat is in test")


def test_relevance_pairs_are_keywords_and_name() -> None:
    found = list(CldrRelevance().pairs(Counts()))
    assert len(found) == 1263
    assert ("brace, bracket, curly, gullwing, open", "open curly bracket") in {(p.query, p.document) for p in found}


def test_unknown_languages_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'ge' is not in cldr_annotations \(has: am, ar, .*zu\)"):
        CldrBitext(parallel_languages=("ge",))
    with pytest.raises(InputError, match="name it in parallel_languages"):
        list(CldrBitext().batches("zu", Counts()))
    with pytest.raises(InputError, match="language: 'xx'"):
        CldrCollection(language="xx")
    with pytest.raises(InputError, match="split must be eval or test, got 'train'"):
        CldrCollection(language="sw").load("train")
    with pytest.raises(InputError, match=r"'so' is not in the data \(has: am, ar"):
        list(UiMessagesBitext().batches("so", Counts()))
    with pytest.raises(InputError, match="sources"):
        UiMessagesBitext(sources=())


def test_messages_of_both_sources() -> None:
    dataset = UiMessagesBitext()
    assert len(dataset.languages()) == 23
    found, counts = pairs(dataset, "sw")
    assert counts.kept == 6495
    assert found["kolibri/AddDeviceForm.addressLabel"] == ("Full network address", "Anwani kamili ya mtandao")
    assert pairs(dataset, "ha")[1].dropped == {"no text in this language": 5591}
    assert "ha" not in UiMessagesBitext(sources=("chromium",)).languages()
    matched = UiMessagesBitext(parallel_languages=("ha", "sw"))
    assert pairs(matched, "de")[0].keys() == pairs(matched, "sw")[0].keys() == pairs(matched, "ha")[0].keys()
    assert "BSD-3-Clause" in dataset.licence
    assert "MIT" in dataset.licence


def test_the_declaration() -> None:
    found, counts = pairs(UdhrBitext(), "so")
    assert (counts.kept, counts.dropped) == (57, {"no text in this language": 3})
    assert found["udhr/preamble.0"][0].startswith("Whereas recognition of the inherent dignity")
    assert len(pairs(UdhrBitext(parallel_languages=("so", "yo", "ha")), "de")[0]) < 58


@pytest.mark.parametrize(
    ("file", "language", "column"), [("chromium", "sw", "sw"), ("kolibri", "ha", "ha"), ("udhr", "so", "som")]
)
def test_bundled_texts_equal_the_collected(collected: Path, file: str, language: str, column: str) -> None:
    with lzma.open(collected / "bitext" / f"{file}.tsv.xz", "rt", encoding="utf-8") as stream:
        header, *lines = [line.rstrip("\n").split("\t") for line in stream]
    place = header.index(column)
    expected = {
        f"{file}/{line[0]}": line[place].replace('\\"', '"').replace("\\\\", "\\") for line in lines if line[place]
    }
    dataset: BitextDataset = UdhrBitext() if file == "udhr" else UiMessagesBitext(sources=(file,))  # type: ignore[arg-type]
    assert {key: foreign for key, (_, foreign) in pairs(dataset, language)[0].items()} == expected
