"""Words in any script: no word is split at a mark, and none is lost."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optical_ray.prepare.words import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The river, a_b: 7 days", ["the", "river", "a", "b", "7", "days"]),
        ("नदी का पानी", ["नदी", "का", "पानी"]),
        ("o\u0323jo\u0323\u0301 \u1ecdj\u1ecd\u0301", ["\u1ecdj\u1ecd\u0301"] * 2),
        ("İzmir ne\u200cbar", ["i̇zmir", "nebar"]),
        ("ตั้งปลุก 9", ["ตั้ง", "งป", "ปลุ", "ลุก", "9"]),
        ("ABC東京 ク", ["abc", "東京", "ク"]),
        ("ភាសាខ្មែរ", ["ភាសា", "សាខ្", "ខ្មែ", "មែរ"]),
        ("မြန်မာ", ["မြန်", "န်မာ"]),
        ("។ ฿ \u0301 ...", []),
    ],
)
def test_words_of_many_scripts(text: str, expected: list[str]) -> None:
    assert words(text) == [unicodedata.normalize("NFC", word) for word in expected]


@given(st.lists(st.text(st.characters(categories=["L", "N", "Mn", "Mc"]), min_size=1), max_size=5))
def test_every_letter_and_digit_is_in_a_word(parts: list[str]) -> None:
    text = " ".join(parts)
    kept = {c for word in words(text) for c in word}
    letters = {c for c in unicodedata.normalize("NFC", text.lower()) if unicodedata.category(c)[0] in "LN"}
    assert letters <= kept
    assert words(unicodedata.normalize("NFD", text)) == words(text)
