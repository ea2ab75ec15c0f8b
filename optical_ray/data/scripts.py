"""Text in any script: counting its words, and the forms in which two texts are compared."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

ALPHABETS_WITHOUT_SPACES = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
)
"""Scripts without spaces between words whose words have several letters."""

CHARACTERS_WITHOUT_SPACES = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
"""Scripts without spaces between words whose characters are about one word each."""

WITHOUT_SPACES = ALPHABETS_WITHOUT_SPACES + CHARACTERS_WITHOUT_SPACES

SEPARATORS = "\u0f0b-\u0f14\u1361\u200b"
"""Marks that separate words as a space does: the Tibetan tsheg and its relatives, the Ge'ez word space, and the
zero-width space of Khmer, Thai and Burmese corpora."""

INVISIBLE = "\u00ad\u034f\u061c\u180b-\u180e\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
"""Characters without a shape of their own: soft hyphen, joiners, direction marks, variation selectors, byte order
mark."""

LETTERS_PER_WORD = 4
"""Length of a word in the scripts of ``ALPHABETS_WITHOUT_SPACES``, about."""

WORD_RULE = 2
"""Version of ``num_words``; part of the fingerprint of data that is filtered by length."""

_ALPHABET_RUN = re.compile(f"[{ALPHABETS_WITHOUT_SPACES}]+")
_CHARACTER = re.compile(f"[{CHARACTERS_WITHOUT_SPACES}]")
_SEPARATOR = re.compile(f"[{SEPARATORS}]+")
_INVISIBLE = re.compile(f"[{INVISIBLE}]+")


def num_words(text: str) -> int:
    """Count the words of ``text``.

    Words are separated by white space or ``SEPARATORS``. In scripts without either, four letters (Thai, Lao, Burmese,
    Khmer) or one character (Chinese, Japanese) count as a word.

    >>> num_words("set an alarm"), num_words("ตั้งปลุกตอนเช้า"), num_words("设置闹钟"), num_words("བཀྲ་ཤིས་བདེ་ལེགས།")
    (3, 4, 4, 4)
    """
    if text.isascii():
        return len(text.split())
    text = _SEPARATOR.sub(" ", _INVISIBLE.sub("", text))
    in_alphabets = sum(-(-len(run) // LETTERS_PER_WORD) for run in _ALPHABET_RUN.findall(text))
    characters = len(_CHARACTER.findall(text))
    if in_alphabets or characters:
        text = _CHARACTER.sub(" ", _ALPHABET_RUN.sub(" ", text))
    return in_alphabets + characters + len(text.split())


def normalise(text: str) -> str:
    """Return ``text`` in NFKC, case folded, with every run of white space as one blank and none at the ends."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def letters_only(text: str) -> str:
    """Return the letters, digits and combining marks of ``text`` in NFKC, case folded.

    Texts that differ only in spaces, punctuation, quotation marks or invisible characters have the same form. NFKC
    rather than NFC, so that full-width letters, ligatures and presentation forms equal plain ones. A text without
    letters and digits keeps its symbols (see ``normalise``).

    >>> letters_only("What’s this?") == letters_only("what's this"), letters_only("?!")
    (True, '?!')
    """
    normal = normalise(text)
    return normal.translate(_LETTERS) or normal


class _LettersTable(dict[int, int | None]):
    """A table for ``str.translate`` that deletes everything but letters, digits and visible marks."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        keeps = unicodedata.category(character)[0] in "LMN" and not _INVISIBLE.match(character)
        self[code] = code if keeps else None
        return self[code]


_LETTERS = _LettersTable()


@cache
def mark_class() -> str:
    """Return a regular expression's class of all combining marks, which ``\\w`` does not contain."""
    marks = (chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("M"))
    return f"[{''.join(marks)}]"
