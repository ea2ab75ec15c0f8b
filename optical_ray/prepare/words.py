"""The words of a text in any script, for lexical search."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import pairwise

from optical_ray.data.scripts import INVISIBLE, WITHOUT_SPACES, mark_class

_INVISIBLE = re.compile(f"[{INVISIBLE}]+")


def words(text: str) -> list[str]:
    """Return the words of ``text`` in lower case and NFC: runs of letters, digits and their combining marks.

    Scripts without spaces between words give pairs of neighbouring characters, each letter together with its marks
    (Nie and Ren, IPM 1999); a single character is a word.

    >>> words("Ọjọ́ 7, नदी")
    ['ọjọ́', '7', 'नदी']
    >>> words("東京都 2")
    ['東京', '京都', '2']
    """
    composed = unicodedata.normalize("NFC", _INVISIBLE.sub("", text.lower()))
    result: list[str] = []
    for run in _run_pattern().finditer(composed):
        if run["spaced"] is not None:
            result.append(run["spaced"])
            continue
        characters = _character_pattern().findall(run["unspaced"])
        pairs = [first + second for first, second in pairwise(characters)]
        result += pairs or characters
    return result


@cache
def _character_pattern() -> re.Pattern[str]:
    """A letter or digit of a script without spaces, with its marks."""
    return re.compile(rf"(?=[{WITHOUT_SPACES}])[^\W_]{mark_class()}*")


@cache
def _run_pattern() -> re.Pattern[str]:
    marks = mark_class()
    spaced = rf"(?P<spaced>(?:[^\W_{WITHOUT_SPACES}]+{marks}*)+)"
    return re.compile(rf"{spaced}|(?P<unspaced>(?:(?=[{WITHOUT_SPACES}])[^\W_]{marks}*)+)")
