"""A trimmed vocabulary tokenizes the study's text as the full one does, and contains nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optical_ray.config.key import canonical
from optical_ray.config.load import from_dict
from optical_ray.data.interface import Counts
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.vocabulary import tokenizer_of
from optical_ray.sweep.description import check_unchanged
from optical_ray.types import InputError
from tests.encoders.checkpoints import TEXTS, write_xlmr
from tests.tiny_study import WORDS, spec, spelt, write_data
from tests.toy_info import write_toy_info

EVERYTHING = [*TEXTS, *WORDS, *(spelt(word, language) for word in WORDS for language in ("de", "hi", "mr", "so"))]


def words(tokenizer: PieceTokenizer, text: str) -> list[str]:
    return tokenizer.backend.encode(text, add_special_tokens=False).tokens


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    folder = write_xlmr(tmp_path / "xlmr", texts=EVERYTHING)
    trial = spec(tmp_path / "data")["trial"]
    teacher = {"kind": "pretrained", "checkpoint": str(folder), "trim_vocabulary": True}
    changed = {**trial, "teacher": teacher, "teacher_training": None}
    return spec(write_data(tmp_path / "data"), trial=changed)


def test_the_studys_text_is_tokenized_as_by_the_full_vocabulary(raw: dict[str, Any], tmp_path: Path) -> None:
    experiment = from_dict(raw)
    whole = experiment.trial.teacher.tokenizer()
    assert whole is not None
    cache = Cache(tmp_path / "cache")
    small = tokenizer_of(experiment.trial.teacher, experiment, cache, ["de", "hi"])
    assert small.size < whole.size
    assert small.marker_pieces == whole.marker_pieces
    made = experiment.data.bitext["made"]
    for language in ("de", "hi"):
        for batch in made.batches(language, Counts()):
            for text in [*batch["foreign"].to_pylist(), *batch["pivot"].to_pylist()]:
                assert words(small, text) == words(whole, text)
    for collection in experiment.data.collections.values():
        for topic in collection.load("test").topics:
            assert words(small, topic.text) == words(whole, topic.text)
    assert small.digest == tokenizer_of(experiment.trial.teacher, experiment, cache, ["hi", "de"]).digest


@pytest.fixture
def with_english(raw: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The study, with English topics for so whose words occur nowhere else."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": f"q{i}", "text": "river", "metadata": {"english": "zebra quartz"}} for i in range(6)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    documents = [{"_id": f"d{i}", "title": "", "text": "river bread"} for i in range(6)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    for split, numbers in (("dev", range(3)), ("test", range(3, 6))):
        qrels = "".join(f"q{i}\td{i}\t1\n" for i in numbers)
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    collection = {"kind": "beir", "root": str(folder), "language": "so", "translations": {"en": "metadata.english"}}
    write_xlmr(tmp_path / "xlmr", texts=[*EVERYTHING, *["zebra quartz", "violin lemon"] * 30])
    return {**raw, "data": {**raw["data"], "collections": {"so": collection}}}


def test_topics_of_baselines_are_tokenized_as_by_the_full_vocabulary(
    with_english: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "topics.tsv").write_text("".join(f"q{i}\tviolin lemon\n" for i in range(6)))
    own = from_dict({**with_english, "baselines": {"teacher_english": None}})
    later = from_dict(with_english)
    translated = {"kind": "teacher_english", "topics": {"so": str(tmp_path / "topics.tsv")}}
    given = from_dict({**with_english, "baselines": {"translated": translated}})
    whole = own.trial.teacher.tokenizer()
    assert whole is not None
    cache = Cache(tmp_path / "cache")
    small, same, larger = (tokenizer_of(e.trial.teacher, e, cache, ["de", "hi"]) for e in (own, later, given))
    assert small.size < larger.size < whole.size
    assert small.digest == same.digest
    assert words(small, "zebra quartz") == words(larger, "zebra quartz") == words(whole, "zebra quartz")
    assert words(larger, "violin lemon") == words(whole, "violin lemon") != words(small, "violin lemon")
    write_toy_info(tmp_path, experiment=canonical(later))
    check_unchanged(own, tmp_path)
    with pytest.raises(InputError, match=r"^baselines\.translated: .*trim_vocabulary reduced.*another name"):
        check_unchanged(given, tmp_path)


def test_a_collection_cannot_be_added_later(raw: dict[str, Any], tmp_path: Path) -> None:
    experiment = from_dict(raw)
    begun = canonical(experiment)
    begun["data"]["collections"].pop("sw")
    write_toy_info(tmp_path, experiment=begun)
    with pytest.raises(InputError, match="trim_vocabulary reduced"):
        check_unchanged(experiment, tmp_path)
