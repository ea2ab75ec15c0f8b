"""Subword overlap, compared with sets of subwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.prepare.overlap import subword_overlap
from optical_ray.prepare.text import prepare_text
from optical_ray.training.bitext_tokens import BitextTokens
from tests.tiny_study import NUM_PAIRS, SOURCES, TARGETS


def test_overlap_is_the_share_of_the_second_languages_subwords(experiment: Experiment, tmp_path: Path) -> None:
    text = prepare_text(experiment, tmp_path, lambda stage: None)
    tokenizer = text.initial_student.tokenizer.open()
    pieces: dict[str, set[int]] = {}
    for language in SOURCES:
        table = BitextTokens(text.inputs.bitext.tokens[language])
        pieces[language] = {piece for row in range(NUM_PAIRS) for piece in table.ids("foreign", row).tolist()}
    for source in text.sources:
        topics = [topic.text for topic in source.collection.topics]
        ids = tokenizer.encode_queries(topics, text.initial_student.config.query_length).ids
        pieces.setdefault(source.target, set()).update(piece for row in ids for piece in row)
    for found in pieces.values():
        found -= tokenizer.specials
    overlap = subword_overlap(experiment, text)
    assert set(overlap) == {*SOURCES, *TARGETS}
    for one, by in overlap.items():
        assert by[one] == 1
        for other, share in by.items():
            assert share == pytest.approx(len(pieces[one] & pieces[other]) / len(pieces[other]), abs=1e-4)
    assert min(share for by in overlap.values() for share in by.values()) < 1
