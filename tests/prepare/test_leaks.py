"""Training pairs with the text of an evaluation topic or document are dropped and reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.config.trial import TrialConfig
from optical_ray.prepare.text import Preparation, prepare_text
from optical_ray.report.data_lines import data_lines
from optical_ray.study.files import read_json
from optical_ray.study.layout import MANIFEST_FILE
from optical_ray.training.mixing import load_pairs
from optical_ray.types import InputError
from tests.tiny_study import NUM_PAIRS
from tests.toy_info import write_toy_info

Make = Callable[..., Experiment]


def plant(data: Path, language: str, pivot: str, foreign: str) -> None:
    """Add a training pair of ``language``."""
    with open(data / "bitext" / f"{language}.tsv", "a", encoding="utf-8") as stream:
        stream.write(f"{pivot}\t{foreign}\n")


def first_text(data: Path, target: str, file: str) -> str:
    """The text of the first line."""
    return (data / target / file).read_text(encoding="utf-8").splitlines()[0].split("\t")[1]


def add_topic(data: Path, target: str) -> str:
    """Add a topic that is long enough for the bitext filter; return its text."""
    for file, line in (("topics.tsv", "q99\tpicha ya mto"), ("qrels.txt", "q99 0 d0 1")):
        with open(data / target / file, "a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    return "picha ya mto"


def prepare(experiment: Experiment, storage: Path) -> Preparation:
    return prepare_text(experiment, storage, lambda stage: None)


def trial_of(experiment: Experiment, language: str, leaks: str = "drop") -> TrialConfig:
    data = experiment.trial.data.model_copy(update={"source_languages": (language,), "leaks": leaks})
    return experiment.trial.model_copy(update={"data": data})


def begin(experiment: Experiment, text: Preparation, storage: Path) -> None:
    folder = storage / experiment.name
    folder.mkdir(parents=True)
    write_toy_info(folder, data=text.report)


def test_pairs_with_evaluation_text_are_dropped_and_counted(data: Path, make: Make, tmp_path: Path) -> None:
    plant(data, "hi", first_text(data, "sw", "documents.tsv").upper(), "all but the same")
    plant(data, "hi", "something quite new", f"  {add_topic(data, 'so')}")
    experiment = make()
    text = prepare(experiment, tmp_path)
    assert text.report["leaks"]["collections"] == ["so", "sw"]
    assert text.report["leaks"]["leaks"] == 2
    (found,) = text.report["leaks"]["found"]
    assert (found["bitext"], found["language"], found["pairs"], found["leaks"]) == ("made", "hi", NUM_PAIRS + 2, 2)
    assert set(found["sets"].values()) == {1}
    assert {name.rpartition(" ")[2] for name in found["sets"]} == {"topics", "documents"}
    assert (
        read_json(text.inputs.bitext.leaks["hi"][0] / MANIFEST_FILE)["sets"]["sw test topics"] == 0
    )  # looked at, and clean
    kept = load_pairs(trial_of(experiment, "hi", "keep"), text.inputs.bitext)["hi"]
    left = load_pairs(trial_of(experiment, "hi"), text.inputs.bitext)["hi"]
    assert (len(kept), len(left)) == (NUM_PAIRS + 2, NUM_PAIRS)
    assert [list(left.ids("foreign", row)) for row in range(NUM_PAIRS)] == [
        list(kept.ids("foreign", row)) for row in range(NUM_PAIRS)
    ]
    lines = list(data_lines(text.report, "drop"))
    assert any("leaks, dropped from training: made hi 2 of 66 pairs" in line for line in lines)


def test_bitext_without_leaks_is_reported_as_such(make: Make, tmp_path: Path) -> None:
    text = prepare(make(), tmp_path)
    assert text.report["leaks"]["leaks"] == 0
    assert any("none of 192 pairs holds a text of so, sw" in line for line in data_lines(text.report, "drop"))


def test_dropped_rows_are_part_of_the_key_of_their_languages_only(data: Path, make: Make, tmp_path: Path) -> None:
    experiment = make()
    clean = prepare(experiment, tmp_path)
    before = {language: clean.trial_key(trial_of(experiment, language), 7) for language in ("de", "hi")}
    with (data / "so" / "documents.tsv").open("a") as stream:  # a document that is a training sentence
        stream.write("leak\t" + (data / "bitext" / "hi.tsv").read_text().splitlines()[5].split("\t")[1] + "\n")
    after = prepare(experiment, tmp_path)
    assert after.trial_key(trial_of(experiment, "de"), 7) == before["de"]
    assert after.trial_key(trial_of(experiment, "hi"), 7) != before["hi"]
    assert after.trial_key(trial_of(experiment, "hi", "keep"), 7) == clean.trial_key(
        trial_of(experiment, "hi", "keep"), 7
    )
    assert after.trial_key(trial_of(experiment, "hi", "keep"), 7) != before["hi"]


def test_a_collection_that_is_added_later_changes_no_key_and_is_counted(data: Path, make: Make, tmp_path: Path) -> None:
    plant(data, "de", first_text(data, "sw", "documents.tsv"), "a leak it is")
    collections: dict[str, Any] = make().model_dump(mode="json")["data"]["collections"]
    plant(data, "hi", "picture of a river", add_topic(data, "so"))
    first = make({"data.collections": {"sw": collections["sw"]}})
    text = prepare(first, tmp_path)
    assert text.report["leaks"]["leaks"] == 1
    begin(first, text, tmp_path)
    again = prepare(make(), tmp_path)
    assert again.report["leaks"]["collections"] == ["sw"]
    assert again.report["leaks"]["later"]["collections"] == ["so"]
    assert {part["language"] for part in again.report["leaks"]["later"]["found"]} == {"de", "hi"}
    for language in ("de", "hi"):
        assert again.trial_key(trial_of(first, language), 7) == text.trial_key(trial_of(first, language), 7)
    assert len(load_pairs(trial_of(first, "hi"), again.inputs.bitext)["hi"]) == NUM_PAIRS + 1
    assert any("added after the study was begun" in line for line in data_lines(again.report, "drop"))


def test_bitext_of_only_leaks_is_refused(data: Path, make: Make, tmp_path: Path) -> None:
    (data / "bitext" / "mr.tsv").write_text(f"{first_text(data, 'sw', 'documents.tsv')}\tneno na neno\n")
    with pytest.raises(InputError, match=r"source languages .*mr.*no pairs are left"):
        prepare(make(), tmp_path)


def test_evaluation_texts_among_the_teachers_pairs_are_counted(data: Path, make: Make, tmp_path: Path) -> None:
    shared = first_text(data, "sw", "documents.tsv")
    with open(data / "relevance" / "triples.train.small.tsv", "a", encoding="utf-8") as stream:
        stream.write(f"a quite new query\t{shared}\tanother one\n")
    text = prepare(make(), tmp_path)
    assert text.report["leaks"]["teacher"] == {"en": {"pairs": NUM_PAIRS + 1, "queries": 0, "documents": 1}}
    assert any("the teacher's pairs en: 0 of 65 queries and 1 documents" in x for x in data_lines(text.report, "drop"))
