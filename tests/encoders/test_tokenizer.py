"""Splitting text into pieces: markers, limits, counts, and a digest that identifies the tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.models import WordLevel

from optical_ray.encoders.tokenizer import (
    PieceTokenizer,
    Role,
    from_backend,
    read_backend,
    train_vocabulary,
    write_backend,
)
from tests.encoders.checkpoints import TEXTS


def pieces(tokenizer: PieceTokenizer, ids: list[int]) -> list[str]:
    return [tokenizer.backend.id_to_token(piece) for piece in ids]


@pytest.mark.parametrize(("role", "marker"), [("query", "[Q]"), ("document", "[D]")])
def test_a_text_is_between_its_marker_and_the_sentence_end(tokenizer: PieceTokenizer, role: Role, marker: str) -> None:
    [ids] = tokenizer.encode(["the river"], role, 32).ids
    read = pieces(tokenizer, ids)
    assert read[:2] == ["<s>", marker]
    assert read[-1] == "</s>"
    assert "".join(read[2:-1]).replace("▁", " ").strip() == "the river"


def test_a_long_text_is_cut_to_the_limit_and_counted(tokenizer: PieceTokenizer) -> None:
    full = tokenizer.encode([TEXTS[2]], "query", 1000).ids[0]
    inner = full[2:-1]
    exact = tokenizer.encode([TEXTS[2]], "query", len(full))
    assert (exact.ids, exact.truncated) == ([full], 0)
    cut = tokenizer.encode([TEXTS[2], "sea", TEXTS[2]], "query", len(full) - 1)
    assert cut.truncated == 2
    assert cut.ids[0] == [*full[:2], *inner[:-1], full[-1]]


@given(texts=st.lists(st.text(max_size=60), max_size=4), limit=st.integers(4, 20))
def test_ids_are_in_the_vocabulary_and_within_the_limit_for_any_text(
    tokenizer: PieceTokenizer, texts: list[str], limit: int
) -> None:
    encoded = tokenizer.encode(texts, "document", limit)
    assert len(encoded.ids) == len(texts)
    for ids in encoded.ids:
        assert 3 <= len(ids) <= limit
        assert all(0 <= piece < tokenizer.size for piece in ids)
    uncut = tokenizer.encode(texts, "document", 10_000)
    assert encoded.truncated == sum(len(ids) > limit for ids in uncut.ids)


def test_case_width_and_spaces_are_normalised(tokenizer: PieceTokenizer) -> None:
    spellings = ["the river", "THE  RIVER", "The\tRiver", "ｔｈｅ\nｒｉｖｅｒ"]
    [first, *others] = tokenizer.encode(spellings, "query", 32).ids
    assert all(other == first for other in others)


def test_a_vocabulary_has_at_most_its_size_and_all_special_pieces() -> None:
    trained = train_vocabulary(TEXTS, 120)
    assert trained.size <= 120
    named = {trained.backend.id_to_token(piece) for piece in trained.specials}
    assert named == {"<s>", "</s>", "<pad>", "[Q]", "[D]"}
    assert trained.specials <= set(range(trained.size))


def test_equal_texts_give_vocabularies_with_equal_digests(tokenizer: PieceTokenizer, tmp_path: Path) -> None:
    again = train_vocabulary(TEXTS, 150)
    assert again.digest == tokenizer.digest
    assert train_vocabulary(TEXTS[:-1], 150).digest != tokenizer.digest
    before = tokenizer.digest
    tokenizer.encode(["something never seen", "日本"], "query", 8)
    assert tokenizer.digest == before
    write_backend(tmp_path, tokenizer.backend)
    read = from_backend(read_backend(tmp_path))
    assert read.digest == before
    assert read.encode(TEXTS, "query", 16) == tokenizer.encode(TEXTS, "query", 16)


def test_the_tokenizer_of_a_checkpoint_gets_markers_and_loses_truncation_and_padding(checkpoint: Path) -> None:
    rows = read_backend(checkpoint).get_vocab_size()
    wrapped = from_backend(read_backend(checkpoint))
    assert wrapped.size == rows + 2
    assert set(wrapped.markers.values()) == {rows, rows + 1}
    short, long = wrapped.encode(["sea", " ".join(TEXTS)], "query", 40).ids
    assert len(short) < 12
    assert len(long) == 40
    assert wrapped.pad not in long


def test_markers_can_be_left_out(checkpoint: Path) -> None:
    backend = read_backend(checkpoint)
    rows = backend.get_vocab_size()
    plain = from_backend(backend, markers=False)
    assert plain.size == rows
    query, document = (plain.encode(["the river"], role, 32).ids for role in ("query", "document"))
    assert query == document
    assert query[0][0] == plain.cls
    assert len(plain.specials) == 3


def test_a_tokenizer_without_a_sentence_end_is_refused() -> None:
    backend = tokenizers.Tokenizer(WordLevel({"a": 0, "<s>": 1, "<unk>": 2}, unk_token="<unk>"))
    with pytest.raises(ValueError, match=r"expected one of </s>, \[SEP\]"):
        from_backend(backend)
