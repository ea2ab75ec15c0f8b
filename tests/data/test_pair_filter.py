from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optical_ray.data import pair_filter
from optical_ray.data.interface import Counts
from optical_ray.data.pair_filter import Pair, PairFilter, SeenTexts
from optical_ray.data.scripts import normalise, num_words
from optical_ray.types import InputError

LOOSE = {"min_length": 1, "max_length": 10**6, "max_ratio": 1e9, "drop_identical": False}


def kept(pairs: list[Pair], **options: Any) -> tuple[list[tuple[str, str]], dict[str, int]]:
    counts = Counts()
    return [(pair.pivot, pair.foreign) for pair in PairFilter(**options).apply(pairs, counts)], counts.dropped


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (Pair("a b c", " x y z "), None),
        (Pair("a b c", "  "), "empty"),
        (Pair("", "x y z"), "empty"),
        (Pair("a b c", "a b c "), "identical"),
        (Pair("a b", "x y z"), "too short"),
        (Pair("a " * 129, "x " * 128), "too long"),
        (Pair("a " * 10, "x y z"), "ratio"),
        (Pair("a " * 9, "x y z"), None),
    ],
)
def test_every_reason_is_counted(pair: Pair, reason: str | None) -> None:
    assert kept([pair])[1] == ({} if reason is None else {reason: 1})


def test_scores() -> None:
    pairs = [Pair("a b c", "x y z", None, 0.9), Pair("a b d", "x y w", None, 0.2), Pair("a b e", "x y v")]
    assert kept(pairs, min_score=0.5) == ([("a b c", "x y z")], {"score": 2})
    assert kept(pairs[:2]) == ([("a b c", "x y z"), ("a b d", "x y w")], {})


def test_duplicates_of_a_side_or_of_a_pair() -> None:
    pairs = [Pair("a b c", "x y z"), Pair("A  b c", "x y w"), Pair("a b d", "x y Z"), Pair("a b c", "x y z")]
    assert kept(pairs, duplicates="side") == ([("a b c", "x y z")], {"duplicate": 3})
    assert kept(pairs, duplicates="pair")[1] == {"duplicate": 1}
    assert kept(pairs, duplicates="keep")[1] == {}


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"))), st.sampled_from(["side", "pair"]))
def test_the_block_size_has_no_effect(texts: list[tuple[str, str]], duplicates: str) -> None:
    expected, sides, pairs = [], set(), set()
    for pair in texts:
        if (pair in pairs) if duplicates == "pair" else sides & set(pair):
            continue
        expected.append(pair)
        sides |= set(pair)
        pairs.add(pair)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_filter, "BLOCK", 3)
        found, dropped = kept([Pair(*pair) for pair in texts], duplicates=duplicates, **LOOSE)
    assert found == expected
    assert sum(dropped.values()) == len(texts) - len(expected)


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30), max_size=20), st.lists(st.integers(-5, 5)))
def test_seen_texts_are_a_set(blocks: list[list[int]], asked: list[int]) -> None:
    seen, expected = SeenTexts(), set()
    for block in blocks:
        fresh = np.array(sorted(set(block) - expected), np.int64)
        seen.add(fresh)
        expected |= set(block)
    asked = asked + [number for block in blocks for number in block[:2]]
    assert seen.contains(np.array(asked, np.int64)).tolist() == [number in expected for number in asked]
    assert len(seen) == len(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("set an alarm", 3), ("ቆዳ ድምፀት", 2), ("ตั้งปลุกตอนเช้า", 4), ("设置 闹钟 now", 5), ("आज मौसम कैसा है ?", 5)],
)
def test_words_are_counted(text: str, words: int) -> None:
    assert num_words(text) == words


@given(st.text())
def test_normalising_twice_changes_little(text: str) -> None:
    assert normalise(normalise(text)).split() == normalise(normalise(normalise(text))).split()
    assert normalise(f"  {text}\n") == normalise(text)


@pytest.mark.parametrize(
    "options",
    [
        {"min_length": 0},
        {"min_length": 9, "max_length": 8},
        {"max_ratio": 0.5},
        {"max_ratio": float("nan")},
        {"duplicates": "x"},
    ],
)
def test_invalid_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="filter"):
        PairFilter(**options)
