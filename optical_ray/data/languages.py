"""Language codes as specs and files state them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from optical_ray.types import InputError

SUBTAGS = r"(?:[_-](?:[A-Za-z]{2,4}|[0-9]{3})){0,2}"  # zh_CN, es_419, sr-Latn, zh-Hant-TW
LANGUAGE_CODE = re.compile(f"[A-Za-z]{{2,3}}{SUBTAGS}")
BARE_CODE = re.compile(f"[a-z]{{2}}{SUBTAGS}")  # a name of three letters may be any word: web.tsv
CODE_PAIR = re.compile(f"[A-Za-z]{{2,3}}{SUBTAGS}-[A-Za-z]{{2,3}}{SUBTAGS}")
YAML_SPELLING = {True: "on", False: "no", None: "null"}
"""What is likely to have been written for a value that YAML reads as no text."""

STATED_CODE = re.compile("[A-Za-z]{2,3}([_@-][A-Za-z0-9]{2,12})*")
"""A code that a row states, also OPUS' spellings such as ``sr@latin`` and ``zh-classical``."""


class _TextOnly:
    """Makes pydantic refuse everything but text, with the remedy: YAML reads an unquoted ``no`` as false."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # the room is usable without pydantic

        return core_schema.no_info_before_validator_function(require_language, handler(source))


Language = Annotated[str, _TextOnly()]
"""A language's code in a spec: text without blanks. Codes that YAML reads as something else are refused."""


def require_language(value: Any) -> str:
    """Return ``value`` if it is a language's code; raises ``InputError`` for anything but text without blanks.

    >>> require_language(False)
    Traceback (most recent call last):
        ...
    optical_ray.types.InputError: expected a language's code as text, got False. Quote it in YAML: "no"
    """
    if not isinstance(value, str):
        spelt = YAML_SPELLING[value] if value is None or isinstance(value, bool) else value
        raise InputError(
            f'expected a language\'s code as text, got {str(value)[:40]}. Quote it in YAML: "{str(spelt)[:40]}"'
        )
    if value.split() != [value]:
        raise InputError(f"expected a language's code without blanks, got {value[:40]!r}. Correct the code")
    return value


def document_language(record: dict[str, Any], key: str, default: str, where: str) -> str:
    """Return the language that ``record`` states under ``key``, or ``default`` if the key is absent or null.

    Raises ``InputError``, beginning with ``where``, for anything but a code: of an empty text, false or a number the
    language is not known, and the default would be a guess.
    """
    value = record.get(key)
    if value is None:
        return default
    if not (isinstance(value, str) and STATED_CODE.fullmatch(value)):
        raise InputError(
            f"{where}: {key} must be a code such as sw or zh-TW, got {str(value)[:40]!r}; correct the line or leave "
            f"out {key}"
        )
    return value
