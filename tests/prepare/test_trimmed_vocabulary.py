"""A study's trimmed vocabulary: all of its text is cut as by the whole one, and nothing else is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.config.key import canonical
from optical_ray.config.load import from_dict
from optical_ray.data.interface import Counts
from optical_ray.encoders.tokenizer import PieceTokenizer
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.vocabulary import tokenizer_of
from optical_ray.storage import write_json
from optical_ray.sweep.description import check_unchanged
from optical_ray.types import InputError
from tests.encoders.checkpoints import TEXTS, write_xlmr
from tests.tiny_study import WORDS, spec, spelt, write_data


def words(tokenizer: PieceTokenizer, text: str) -> list[str]:
    return tokenizer.backend.encode(text, add_special_tokens=False).tokens


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, object]:
    everything = [*TEXTS, *WORDS, *(spelt(word, language) for word in WORDS for language in ("de", "hi", "mr", "so"))]
    folder = write_xlmr(tmp_path / "xlmr", texts=everything)
    trial = spec(tmp_path / "data")["trial"]
    teacher = {"kind": "pretrained", "checkpoint": str(folder), "trim_vocabulary": True}
    changed = {**trial, "teacher": teacher, "teacher_training": None}
    return spec(write_data(tmp_path / "data"), trial=changed)


def test_the_study_s_text_is_cut_as_by_the_whole_vocabulary(raw: dict[str, object], tmp_path: Path) -> None:
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


def test_a_collection_cannot_come_later(raw: dict[str, object], tmp_path: Path) -> None:
    experiment = from_dict(raw)
    begun = canonical(experiment)
    begun["data"]["collections"].pop("sw")
    write_json(tmp_path / "study.json", {"experiment": begun})
    with pytest.raises(InputError, match="trim_vocabulary is on"):
        check_unchanged(experiment, tmp_path)
