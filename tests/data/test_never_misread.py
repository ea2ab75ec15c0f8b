"""Files that other readers would misread silently: read correctly or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.data.datasets.beir import BeirCollection
from optical_ray.data.datasets.lareqa import LareqaCollection
from optical_ray.data.datasets.massive import MassiveCollection
from optical_ray.data.datasets.mtop import MtopCollection
from optical_ray.data.datasets.parallel_table import ParallelTableBitext, ParallelTableCollection
from optical_ray.data.datasets.parallel_text import ParallelText
from optical_ray.data.interface import Counts
from optical_ray.types import InputError

ENGLISH, GERMAN = "good morning to all", "guten Morgen an alle"


def sides(dataset: ParallelText, language: str = "de") -> list[tuple[str, str]]:
    rows = [row for batch in dataset.batches(language, Counts()) for row in batch.to_pylist()]
    return [(row["pivot"], row["foreign"]) for row in rows]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("x.de-en.tsv", f"{GERMAN}\t{ENGLISH}"),
        ("x.en-de.tsv", f"{ENGLISH}\t{GERMAN}"),
        ("de-en.txt", f"{GERMAN}\t{ENGLISH}\t0.5"),
        ("de.tsv", f"{ENGLISH}\t{GERMAN}"),
        ("x.de-en.tsv", f"{GERMAN}\t{ENGLISH}\tde\t0.5"),
    ],
)
def test_the_order_of_the_sides_is_that_of_the_name(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).write_text(line + "\n")
    assert sides(ParallelText(path=str(tmp_path / name))) == [(ENGLISH, GERMAN)]


def test_columns_state_another_order(tmp_path: Path) -> None:
    (tmp_path / "x.de-en.tsv").write_text(f"{ENGLISH}\t{GERMAN}\n")
    dataset = ParallelText(path=str(tmp_path / "x.de-en.tsv"), columns=("pivot", "foreign"))
    assert sides(dataset) == [(ENGLISH, GERMAN)]


@pytest.mark.parametrize("name", ["x.deu-eng.tsv", "news.de-en.clean.tsv"])
def test_a_pair_of_codes_that_does_not_tell_the_order_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"{GERMAN}\t{ENGLISH}\n")
    dataset = ParallelText(path=str(tmp_path / name), language="de")
    with pytest.raises(InputError, match=r":1: .*the order of the two texts is not known. Name it in `columns`"):
        sides(dataset)
    stated = ParallelText(path=str(tmp_path / name), language="de", columns=("foreign", "pivot"))
    assert sides(stated) == [(ENGLISH, GERMAN)]


def test_a_header_of_codes_is_not_a_pair(tmp_path: Path) -> None:
    (tmp_path / "web.tsv").write_text(f"de\ten\n{GERMAN}\t{ENGLISH}\n")
    with pytest.raises(InputError, match=r"web.tsv:1: the first line is a header of language codes \(de, en\)"):
        sides(ParallelText(path=str(tmp_path / "web.tsv"), language="de"))


@pytest.mark.parametrize("code", ["sr@latin", "be_tarask", "zh-classical", "swh_Latn"])
def test_codes_in_the_spelling_of_opus_are_languages(tmp_path: Path, code: str) -> None:
    (tmp_path / "web.tsv").write_text(f"{ENGLISH}\t{GERMAN}\t{code}\n")
    assert ParallelText(path=str(tmp_path / "web.tsv")).languages() == (code,)


def test_the_pair_in_the_name_is_the_language(tmp_path: Path) -> None:
    (tmp_path / "x.de-en.tsv").write_text(f"{GERMAN}\t{ENGLISH}\n")
    assert ParallelText(path=str(tmp_path / "x.de-en.tsv"), language="sw").languages() == ("de",)


@pytest.mark.parametrize("third", ["ein dritter Satz", "", "7a"])
def test_a_third_column_that_is_neither_score_nor_language_is_refused(tmp_path: Path, third: str) -> None:
    (tmp_path / "web.tsv").write_text(f"{ENGLISH}\t{GERMAN}\t{third}\n")
    with pytest.raises(InputError, match=r"web.tsv:1: language must be a code .*`columns`"):
        sides(ParallelText(path=str(tmp_path / "web.tsv")))


@pytest.mark.parametrize("stated", [False, "", 7, ["de"]])
def test_records_state_languages_as_text(tmp_path: Path, stated: Any) -> None:
    record = {"pivot": ENGLISH, "foreign": GERMAN, "language": stated}
    (tmp_path / "web.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(InputError, match=r"web.jsonl:1: language must be a code"):
        sides(ParallelText(path=str(tmp_path / "web.jsonl"), language="de"))


@pytest.mark.parametrize("identity", [1.5, True, ["a"], None])
def test_ids_are_text(tmp_path: Path, identity: Any) -> None:
    options = BeirCollection.example(tmp_path)
    lines = (tmp_path / "queries.jsonl").read_text().splitlines()
    record = {**json.loads(lines[0]), "_id": identity}
    (tmp_path / "queries.jsonl").write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n")
    with pytest.raises(InputError, match=r"queries.jsonl:1: _id must be a text, got \w+. Quote it"):
        BeirCollection(**options).load("test")


def in_two_folders(folder: Path, write: Callable[[Path], dict[str, Any]], second: str = "other") -> dict[str, Any]:
    """The same files in two folders below the root."""
    write(folder / "one")
    return {**write(folder / second), "root": str(folder)}


@pytest.mark.parametrize(
    ("dataset", "twice"),
    [
        (BeirCollection, "qrels/test.tsv"),
        (LareqaCollection, "sw.json"),
        (MassiveCollection, "en-US.jsonl"),
        (MtopCollection, "en/eval.txt"),
        (ParallelTableCollection, "dev.tsv"),
    ],
)
def test_a_file_that_exists_twice_is_refused(dataset: Any, twice: str, tmp_path: Path) -> None:
    options = in_two_folders(tmp_path, dataset.example)
    with pytest.raises(InputError, match=r"found twice: this file and .*name one of the folders") as raised:
        dataset(**options).load("test")
    assert str(tmp_path / "one" / twice) in str(raised.value)
    assert str(tmp_path / "other" / twice) in str(raised.value)
    with pytest.raises(InputError, match="found twice"):
        dataset(**options).fingerprint()
    assert dataset(**{**options, "root": str(tmp_path / "one")}).load("test").topics


def test_a_plain_and_a_compressed_side_are_one_too_many(tmp_path: Path) -> None:
    for name in ("Web.en-de.en", "Web.en-de.de", "Web.en-de.en.xz"):
        (tmp_path / name).write_text(ENGLISH + "\n")
    with pytest.raises(InputError, match=r"Web.en-de.en: found twice: this file and .*Web.en-de.en.xz"):
        ParallelText(root=str(tmp_path)).languages()


def test_a_column_without_a_name_is_no_language(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("\tkey\ten\tsw\n0\ta\tgood morning\thabari ya asubuhi\n")
    with pytest.raises(InputError, match=r"train.tsv:1: column 1 has the name '', which is not a language's code"):
        ParallelTableBitext(root=str(tmp_path)).languages()
    named = ParallelTableBitext(root=str(tmp_path), columns={"en": "en", "sw": "sw"})
    assert named.languages() == ("en", "sw")


def test_messages_are_bounded(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{'x' * 100}{number}.xml").write_text("x")
    for dataset in (ParallelText(root=str(tmp_path)), BeirCollection(root=str(tmp_path), language="sw")):
        with pytest.raises(InputError, match="and 1990 more") as raised:
            dataset.fingerprint()
        assert len(str(raised.value)) < 2500
