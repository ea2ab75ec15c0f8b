"""Text as the words that a lexical search compares, in any script."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache
from itertools import pairwise

UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
"""Scripts that set no space between words."""

INVISIBLE = str.maketrans(dict.fromkeys((0x00AD, 0x200C, 0x200D)))
"""Soft hyphen and the two joiners: they stand inside a word and say only how it is drawn."""


def words(text: str) -> list[str]:
    """The words of ``text`` in lower case, composed (NFC): runs of letters, digits and the marks upon them.

    Scripts without spaces between words give pairs of neighbouring characters, a letter with its marks counted as one
    (Nie and Ren, IPM 1999); a character that stands alone is a word.

    >>> words("Ọjọ́ 7, नदी")
    ['ọjọ́', '7', 'नदी']
    >>> words("東京都 2")
    ['東京', '京都', '2']
    """
    composed = unicodedata.normalize("NFC", text.lower().translate(INVISIBLE))
    found: list[str] = []
    for run in _runs().finditer(composed):
        if run["spaced"] is not None:
            found.append(run["spaced"])
            continue
        characters = _characters().findall(run["unspaced"])
        pairs = [first + second for first, second in pairwise(characters)]
        found += pairs or characters
    return found


@cache
def _characters() -> re.Pattern[str]:
    """A letter or digit of a script without spaces, with its marks."""
    return re.compile(rf"(?=[{UNSPACED}])[^\W_]{_marks()}*")


@cache
def _runs() -> re.Pattern[str]:
    marks = _marks()
    return re.compile(rf"(?P<spaced>(?:[^\W_{UNSPACED}]+{marks}*)+)|(?P<unspaced>(?:(?=[{UNSPACED}])[^\W_]{marks}*)+)")


@cache
def _marks() -> str:
    """A class of all combining marks, which ``\\w`` lacks."""
    marks = (chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("M"))
    return f"[{''.join(marks)}]"
