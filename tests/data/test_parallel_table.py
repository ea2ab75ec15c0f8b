from pathlib import Path
from typing import Any

import pytest

from optical_ray.data.datasets.parallel_table import (
    ParallelTableBitext,
    ParallelTableCollection,
    ParallelTableRelevance,
)
from optical_ray.data.interface import Counts
from optical_ray.types import InputError

HEADER = "index_id\tcategory\teng_Latn\tswh_Latn\tsom_Latn"
OPTIONS: dict[str, Any] = {
    "key": "index_id",
    "label": "category",
    "columns": {"en": "eng_Latn", "sw": "swh_Latn", "so": "som_Latn"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for partition in ("train", "dev", "test"):
        rows = [f"{partition}{i}\ttopic{i % 3}\t{partition} text {i}\tmatini {partition} {i}\t" for i in range(12)]
        rows[5] += 'qoraal \\"5\\"'
        (tmp_path / f"{partition}.tsv").write_text("\n".join([HEADER, *rows]) + "\n")
    return tmp_path


def rows_of(dataset: ParallelTableBitext, language: str) -> list[dict[str, str]]:
    return [row for batch in dataset.batches(language, Counts()) for row in batch.to_pylist()]


def test_columns_are_languages(folder: Path) -> None:
    bitext = ParallelTableBitext(root=str(folder), **OPTIONS)
    assert bitext.languages() == ("en", "so", "sw")
    assert rows_of(bitext, "sw")[7] == {"id": "train7", "pivot": "train text 7", "foreign": "matini train 7"}
    assert [row["foreign"] for row in rows_of(bitext, "so")] == ['qoraal \\"5\\"']
    read = ParallelTableBitext(root=str(folder), escapes=True, **OPTIONS)
    assert [row["foreign"] for row in rows_of(read, "so")] == ['qoraal "5"']
    assert read.fingerprint() != bitext.fingerprint()
    plain = ParallelTableBitext(root=str(folder), key="index_id", label="category", partition="dev", pivot="eng_Latn")
    assert plain.languages() == ("eng_Latn", "som_Latn", "swh_Latn")
    assert rows_of(plain, "swh_Latn")[0]["id"] == "dev0"


def test_one_file_is_one_partition(folder: Path) -> None:
    bitext = ParallelTableBitext(root=str(folder / "dev.tsv"), partition="dev", **OPTIONS)
    assert len(rows_of(bitext, "sw")) == 12
    with pytest.raises(InputError, match=r"'sw' has no pairs"):
        rows_of(ParallelTableBitext(root=str(folder / "dev.tsv"), **OPTIONS), "sw")


def test_the_label_is_the_intent(folder: Path) -> None:
    collection = ParallelTableCollection(root=str(folder), language="sw", **OPTIONS).load("test")
    assert collection.qrels.grades["test4"] == dict.fromkeys(("test1", "test4", "test7", "test10"), 1)
    apart = ParallelTableCollection(root=str(folder), language="sw", exclude_parallel=True, **OPTIONS).load("eval")
    assert not {topic.topic_id for topic in apart.topics} & {document.doc_id for document in apart.documents}
    assert len(list(ParallelTableRelevance(root=str(folder), **OPTIONS).pairs(Counts()))) == 12


@pytest.mark.parametrize(
    ("line", "options", "message"),
    [
        ("x\ty", {}, r"train.tsv:14: got 2 columns, expected 5 as in line 1"),
        ("train3\tt\ta\tb\tc", {}, r"train.tsv:14: index_id 'train3' occurs a second time"),
        ("", {"key": "id"}, r".tsv:1: no column 'id' in the header \(has: index_id, category"),
    ],
)
def test_bad_tables_are_refused(folder: Path, line: str, options: dict[str, Any], message: str) -> None:
    with open(folder / "train.tsv", "a") as stream:
        stream.write(line + "\n")
    with pytest.raises(InputError, match=message):
        rows_of(ParallelTableBitext(root=str(folder), **{**OPTIONS, **options}), "sw")


def test_collected_sib200(collected: Path) -> None:
    columns = {"en": "eng_Latn", "sw": "swh_Latn", "so": "som_Latn", "yo": "yor_Latn"}
    options: dict[str, Any] = {"root": str(collected / "sib200"), "columns": columns, "escapes": True}
    bitext = ParallelTableBitext(**options)
    assert bitext.languages() == ("en", "so", "sw", "yo")
    assert len(rows_of(bitext, "so")) == 701
    dataset = ParallelTableCollection(**options, language="so", test_partition="dev")
    assert sum(len(dataset.load(split).topics) for split in ("eval", "test")) == 99
    news = ParallelTableBitext(
        root=str(collected / "bitext" / "ntrex.tsv.xz"),
        partition="ntrex",
        label="doc",
        columns={"en": "eng-US", "so": "som"},
    )
    assert len(rows_of(news, "so")) == 1997


def test_one_partition_gives_both_splits_without_translations_of_topics(folder: Path) -> None:
    """Two divisions by one hash would leave eval empty."""
    options = {**OPTIONS, "eval_partition": "dev", "test_partition": "dev", "exclude_parallel": True}
    rows = [f"{i}\ttopic{i % 3}\ttext {i}\tmatini {i}\tqoraal {i}" for i in range(90)]
    (folder / "dev.tsv").write_text("\n".join([HEADER, *rows]) + "\n")
    splits = {s: ParallelTableCollection(root=str(folder), language="sw", **options).load(s) for s in ("eval", "test")}
    topics = {split: {topic.topic_id for topic in found.topics} for split, found in splits.items()}
    documents = {document.doc_id for found in splits.values() for document in found.documents}
    assert len(topics["eval"]) > 5
    assert len(topics["test"]) > len(topics["eval"])
    assert not topics["eval"] & topics["test"]
    assert not (topics["eval"] | topics["test"]) & documents


def test_a_folder_for_each_language(tmp_path: Path) -> None:
    """The layout of SIB-200: ``swh_Latn/test.tsv``."""
    for folder, texts in {
        "eng_Latn": ("a river", "a city"),
        "swh_Latn": ("mto", "mji"),
        "som_Latn": ("x", "y"),
    }.items():
        (tmp_path / folder).mkdir()
        for partition in ("train", "dev", "test"):
            rows = (f"{i}\ttopic {i}\t{text} {partition}\n" for i, text in enumerate(texts))
            (tmp_path / folder / f"{partition}.tsv").write_text("index_id\tcategory\ttext\n" + "".join(rows))
    options: dict[str, Any] = {"root": str(tmp_path), "key": "index_id", "label": "category"}
    with pytest.raises(InputError, match="found twice"):
        ParallelTableBitext(**options).languages()
    assert ParallelTableBitext(**options, text="text", pivot="eng_Latn").languages() == (
        "eng_Latn",
        "som_Latn",
        "swh_Latn",
    )
    named = {**options, "text": "text", "columns": {"en": "eng_Latn", "sw": "swh_Latn"}}
    bitext = ParallelTableBitext(**named)
    assert bitext.languages() == ("en", "sw")
    pairs = [row for batch in bitext.batches("sw", Counts()) for row in batch.to_pylist()]
    assert [(row["pivot"], row["foreign"]) for row in pairs] == [
        ("a river train", "mto train"),
        ("a city train", "mji train"),
    ]
    test = ParallelTableCollection(**named, language="sw").load("test")
    assert [topic.text for topic in test.topics] == ["mto test", "mji test"]
    assert test.qrels.grades == {"0": {"0": 1}, "1": {"1": 1}}


def test_without_labels_nothing_is_relevant_by_label(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("key\ten\tsw\n" + "".join(f"{i}\ttext {i}\tandiko {i}\n" for i in range(9)))
    table = ParallelTableCollection(root=str(tmp_path), language="sw", eval_partition="test")
    with pytest.raises(InputError, match=r"no topic of split test has a relevant document .*check the labels"):
        table.load("test")
    assert not list(ParallelTableRelevance(root=str(tmp_path), partition="test").pairs(Counts()))
