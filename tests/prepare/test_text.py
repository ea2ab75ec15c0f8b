"""The study's text in pieces: what was read, what was cut, and that evaluation text stays out of the vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optical_ray.config.experiment import Experiment
from optical_ray.data.datasets.trec import TrecCollection
from optical_ray.encoders.tokenizer import from_backend
from optical_ray.prepare.cache import Cache
from optical_ray.prepare.text import Preparation, prepare_text
from optical_ray.prepare.tokens import unique_pivots
from optical_ray.prepare.vocabulary import tokenizer_of
from optical_ray.ranking import EncodedCollection
from optical_ray.training.bitext_tokens import BitextTokens
from optical_ray.types import InputError
from tests.tiny_study import NUM_PAIRS, NUM_TOPICS, SOURCES, TARGETS

Make = Callable[..., Experiment]
ENCODER = "trial.teacher"


def prepare(experiment: Experiment, storage: Path) -> Preparation:
    return prepare_text(experiment, storage, lambda stage: None)


def rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


def test_the_vocabulary_is_made_of_bitext_alone(
    data: Path, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(data / "bitext" / "de.tsv", lambda lines: [line + " ᚠᚢᚦ" for line in lines])
    rewrite(data / "sw" / "topics.tsv", lambda lines: [line + " ႠႡ" for line in lines])
    rewrite(data / "sw" / "documents.tsv", lambda lines: [line + " ႢႣ" for line in lines])

    def refuses(self: TrecCollection, split: str) -> None:
        raise AssertionError("a vocabulary looks at no collection")

    experiment = make()
    with monkeypatch.context() as patch:
        patch.setattr(TrecCollection, "load", refuses)
        tokenizer = tokenizer_of(experiment.trial.teacher, experiment, Cache(tmp_path / "cache"))
    letters = {letter for piece in tokenizer.backend.get_vocab() for letter in piece}
    assert set("ᚠᚢᚦ") <= letters
    assert not set("ႠႡႢႣ") & letters
    assert from_backend(tokenizer.backend).digest == tokenizer.digest


def test_two_storages_have_the_same_vocabulary_and_digests(make: Make, tmp_path: Path) -> None:
    first, second = (prepare(make(), tmp_path / name) for name in ("one", "two"))
    assert first.inputs.digests == second.inputs.digests
    assert {path.name for path in first.inputs.scoring.collections} == {
        path.name for path in second.inputs.scoring.collections
    }


def test_pairs_lie_in_pieces_as_the_files_have_them(data: Path, make: Make, tmp_path: Path) -> None:
    experiment = make()
    text = prepare(experiment, tmp_path)
    tokenizer = tokenizer_of(experiment.trial.teacher, experiment, Cache(tmp_path / "cache"))
    assert set(text.inputs.bitext.tokens) == set(SOURCES)
    for language in SOURCES:
        table = BitextTokens(text.inputs.bitext.tokens[language])
        lines = (data / "bitext" / f"{language}.tsv").read_text().splitlines()
        assert len(table) == NUM_PAIRS == text.report["bitext"][language][0]["pairs"]
        for row, line in enumerate(lines):
            pivot, foreign = line.split("\t")
            for side, sentence in (("pivot", pivot), ("foreign", foreign), ("teacher", pivot)):
                [expected] = tokenizer.encode([sentence], "query", 32).ids
                assert table.ids(side, row).tolist() == expected
        for side in ("foreign", "pivot", "teacher"):
            counts = Counter(piece for row in range(NUM_PAIRS) for piece in set(table.ids(side, row).tolist()))
            saved = np.load(text.inputs.bitext.tokens[language][0] / f"{side}_rows.npy")
            assert {piece: int(count) for piece, count in enumerate(saved) if count} == counts


def test_collections_lie_in_pieces_with_their_judgements(data: Path, make: Make, tmp_path: Path) -> None:
    text = prepare(make(), tmp_path)
    opened = [EncodedCollection.open(folder) for folder in text.inputs.scoring.collections]
    assert [(one.target, one.split) for one in opened] == [(t, s) for t in TARGETS for s in ("eval", "test")]
    for target in TARGETS:
        splits = [one for one in opened if one.target == target]
        ids = [topic_id for one in splits for topic_id in one.topic_ids]
        assert sorted(ids) == sorted(f"q{index}" for index in range(NUM_TOPICS))
        for one in splits:
            assert one.qrels.grades == {topic_id: {f"d{topic_id[1:]}": 1} for topic_id in one.topic_ids}
            assert len(one.topics) == len(one.topic_ids)
            assert len(one.documents) == len(one.doc_ids) == 2 * NUM_TOPICS
    assert len({one.documents_digest for one in opened}) == 1


def test_what_is_too_long_is_cut_and_counted(data: Path, make: Make, tmp_path: Path) -> None:
    long, longer = " ".join(["river"] * 40), " ".join(["salt"] * 60)
    rewrite(data / "bitext" / "hi.tsv", lambda lines: [*lines, f"{long}\t{longer}"])
    rewrite(data / "so" / "documents.tsv", lambda lines: [f"{lines[0]} {long}", *lines[1:]])
    text = prepare(make(), tmp_path)
    assert text.report["bitext"]["de"][0]["truncated"] == 0
    assert text.report["bitext"]["hi"][0]["truncated"] == 2
    assert text.report["collections"]["so"]["test"]["truncated"] == {"topics": 0, "documents": 1}
    assert int(BitextTokens(text.inputs.bitext.tokens["hi"]).lengths()[np.arange(NUM_PAIRS + 1)].max()) == 32


def test_a_pivot_that_languages_share_is_embedded_once(make: Make, tmp_path: Path) -> None:
    text = prepare(make(), tmp_path)
    folders = [folder for parts in text.inputs.bitext.tokens.values() for folder in parts]
    hashes, places = unique_pivots(folders)
    assert len(hashes) == len(places) == NUM_PAIRS
    assert (np.diff(hashes.astype(object)) > 0).all()
    for digest, (part, row) in zip(hashes, places, strict=True):
        assert np.load(folders[part] / "pivot_hash.npy")[row] == digest


def test_a_second_time_nothing_is_read_anew(make: Make, tmp_path: Path) -> None:
    prepare(make(), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    prepare(make(), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trial.data.pairs": NUM_PAIRS + 1}, ["pairs", "de", str(NUM_PAIRS), "repeat"]),
        ({"trial.data.pairs": NUM_PAIRS + 1, "trial.data.budget": "per_language"}, ["pairs", str(NUM_PAIRS)]),
    ],
)
def test_a_budget_beyond_the_data_is_refused_unless_it_repeats(
    make: Make, tmp_path: Path, settings: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        prepare(make(settings), tmp_path)
    for word in words:
        assert word in str(caught.value)
    prepare(make({**settings, "trial.data.repeat": True}), tmp_path)


def test_the_smallest_language_of_a_corner_counts(data: Path, make: Make, tmp_path: Path) -> None:
    rewrite(data / "bitext" / "mr.tsv", lambda lines: lines[:10])
    with pytest.raises(InputError, match=r"source languages mr: .*pairs: 20.*mr has 10"):
        prepare(make({"trial.data.pairs": 20}), tmp_path)


def test_embeddings_beyond_the_limit_are_left_to_the_step(make: Make, tmp_path: Path) -> None:
    assert prepare(make(), tmp_path).inputs.models.embeddings is not None
    assert prepare(make({"compute.cache_limit": "1 KB"}), tmp_path).inputs.models.embeddings is None


def test_bitext_of_which_nothing_is_left_is_refused(data: Path, make: Make, tmp_path: Path) -> None:
    rewrite(data / "bitext" / "hi.tsv", lambda lines: ["same\tsame"] * 3)
    with pytest.raises(InputError, match="hi"):
        prepare(make(), tmp_path)
