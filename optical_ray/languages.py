"""Languages behind their codes: which spellings name one language, and what the language is called in English.

Codes may be ISO 639-1, ISO 639-2 or ISO 639-3 codes or BCP 47 tags, with "-" or "_" and any script and region:
``sw``, ``swa``, ``sw-KE`` and ``swh_Latn`` are one language. Aliases and deprecated codes are resolved by `langcodes`;
macrolanguages and names are those of ISO 639-3 in `iso639`. Both are imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any


def same_language(first: str, second: str) -> bool:
    """Return whether two codes name one language, whatever their script, region and spelling.

    A macrolanguage is the same as each of its members (``zh`` and ``yue``, ``no`` and ``nb``); two members of one
    macrolanguage are different (``nb`` and ``nn``). A code that no standard knows equals only itself.

    >>> same_language("swh_Latn", "sw-KE"), same_language("fil", "tl"), same_language("nb", "nn")
    (True, True, False)
    """
    one, other = _identity(first), _identity(second)
    return one == other or one == _macrolanguage(other) or other == _macrolanguage(one)


def is_supervised(target_language: str, source_languages: Iterable[str]) -> bool:
    """Return whether the target's language is among the sources, which makes the result supervision, not transfer.

    >>> is_supervised("swh_Latn", ["de", "sw"])
    True
    """
    return any(same_language(target_language, source) for source in source_languages)


def is_known_language(code: str) -> bool:
    """Return whether ISO 639 or BCP 47 knows a code; an unknown code equals only itself and is its own name.

    >>> is_known_language("swh_Latn"), is_known_language("elvish")
    (True, False)
    """
    return _is_known(_identity(code))


def language_name(code: str) -> str:
    """Return the English name of a language, or ``code`` itself if no standard knows it.

    >>> language_name("ha"), language_name("swh_Latn"), language_name("zh-CN"), language_name("elvish")
    ('Hausa', 'Swahili', 'Chinese', 'elvish')
    """
    if not is_known_language(code):
        return code
    from iso639 import Lang

    return str(Lang(_identity(code)).name.partition(" (")[0])


def language_label(code: str) -> str:
    """Return the name of a language followed by its code, or only the code if no standard knows it.

    >>> language_label("ha"), language_label("elvish")
    ('Hausa (ha)', 'elvish')
    """
    name = language_name(code)
    return code if name == code else f"{name} ({code})"


def collection_language(collections: Mapping[str, Any], name: str) -> str:
    """Return the language that a collection's block in the spec states, or the collection's name if it states none.

    >>> collection_language({"news": {"language": "swh_Latn"}, "sw": {}}, "news")
    'swh_Latn'
    """
    block = collections.get(name)
    language = block.get("language") if isinstance(block, Mapping) else None
    return str(language or name)


def collection_label(collections: Mapping[str, Any], name: str) -> str:
    """Return the language of a collection with its code, and the collection's name if it differs from the code.

    >>> collection_label({"news": {"language": "sw"}, "ha": {"language": "ha"}}, "news")
    'Swahili (sw, news)'
    """
    code = collection_language(collections, name)
    language = language_name(code)
    return name if language == name else f"{language} ({code if code == name else f'{code}, {name}'})"


def set_label(codes: Iterable[str]) -> str:
    """Return the label of a set of languages.

    >>> set_label(["de", "hi"]), set_label(["elvish"])
    ('German + Hindi (de+hi)', 'elvish')
    """
    codes = list(codes)
    names, short = " + ".join(language_name(code) for code in codes), "+".join(codes)
    return short if names == short else f"{names} ({short})"


def short_code(code: str) -> str:
    """Return the ISO 639-1 code of a language or of its macrolanguage; the ISO 639-3 code if neither has one.

    >>> short_code("swh_Latn"), short_code("hin_Deva"), short_code("tl"), short_code("elvish")
    ('sw', 'hi', 'fil', 'elvish')
    """
    identity = _identity(code)
    if not _is_known(identity):
        return identity
    from iso639 import Lang

    return str(Lang(identity).pt1 or Lang(_macrolanguage(identity) or identity).pt1 or identity)


@lru_cache(maxsize=4096)
def _identity(code: str) -> str:
    """The ISO 639-3 code without script and region; the code itself in lower case if no standard knows it."""
    from langcodes import Language
    from langcodes.tag_parser import LanguageTagError

    try:
        language = Language.get(code).language or ""
    except LanguageTagError:
        language = ""
    if not _is_known(language):
        return code.strip().lower()
    from iso639 import Lang

    return str(Lang(language).pt3) or language


@lru_cache(maxsize=4096)
def _is_known(language: str) -> bool:
    from iso639 import is_language

    return bool(language) and bool(is_language(language))


@lru_cache(maxsize=4096)
def _macrolanguage(identity: str) -> str | None:
    """The ISO 639-3 macrolanguage that a language belongs to, if any."""
    if not _is_known(identity):
        return None
    from iso639 import Lang

    macrolanguage = Lang(identity).macro()
    return str(macrolanguage.pt3) if macrolanguage else None
