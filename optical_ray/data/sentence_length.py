"""How long a sentence is, in words, whatever its script."""

from __future__ import annotations

import re

# Scripts that put no blanks between words. A Thai, Lao, Burmese or Khmer word has about four characters; a Chinese
# character or a kana counts as one word.
UNSPACED_ALPHABET = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")
CHARACTERS_PER_WORD = 4
UNSPACED_CHARACTER = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")


def num_words(text: str) -> int:
    """Count the words of ``text``: by white space, by characters in scripts that have none between words.

    >>> num_words("set an alarm"), num_words("ตั้งปลุกตอนเช้า"), num_words("设置闹钟")
    (3, 4, 4)
    """
    if text.isascii():
        return len(text.split())
    in_alphabets = sum(-(-len(run) // CHARACTERS_PER_WORD) for run in UNSPACED_ALPHABET.findall(text))
    in_characters = len(UNSPACED_CHARACTER.findall(text))
    if not in_alphabets and not in_characters:
        return len(text.split())
    rest = UNSPACED_CHARACTER.sub(" ", UNSPACED_ALPHABET.sub(" ", text))
    return in_alphabets + in_characters + len(rest.split())
