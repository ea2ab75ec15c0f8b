"""The prose is plain English: phrases that a reader stumbles over do not occur."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PHRASES = (
    r"none yet",
    r"there is none",
    r"(?-i:\bare none\b)",  # "None" is code
    r"whoever",
    r"as it comes",
    r"nobody (else )?(keeps|runs|holds)",
    r"\bmend(s|ed|ing)?\b",
    r"\blet(s|ting)? go of\b",
    r"\btwins?\b",
    r"\bheed(s|ed)?\b",
    r"\banew\b",
)
BANNED = re.compile("|".join(PHRASES).replace(" ", r"\s+(?:#\s+)?"), re.IGNORECASE)
"""A phrase may continue on the next line, also on that of a comment."""

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "experiments/README.md", "experiments/results/README.md")
SOURCES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "optical_ray").rglob("*.py"))


def banned_phrases(text: str) -> list[str]:
    """Each banned phrase with the line on which it begins: ``12: none yet``."""
    return [
        f"{text.count(chr(10), 0, match.start()) + 1}: {' '.join(match.group().split())}"
        for match in BANNED.finditer(text)
    ]


def docstrings_that_begin_with_of(source: str) -> list[str]:
    """The docstrings that begin with "Of", by line and their first words."""
    texts = [
        (node.lineno, node.value.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return [f"{line}: {text[:30]}" for line, text in sorted(texts) if text.lstrip().startswith("Of ")]


def test_phrases_are_found_across_lines() -> None:
    assert banned_phrases("one\n# there is\n# none, they mend\n") == ["2: there is # none", "3: mend"]
    assert banned_phrases("recommended amendments; twinned; x are None") == []


def test_docstrings_that_begin_with_of_are_found() -> None:
    assert docstrings_that_begin_with_of('x = 1\n"""Of x."""\n\n\ndef f():\n    """Of f."""\n') == [
        "2: Of x.",
        "6: Of f.",
    ]


@pytest.mark.parametrize("document", [*DOCUMENTS, *SOURCES])
def test_a_file_is_plain(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert banned_phrases(text) + (docstrings_that_begin_with_of(text) if document.endswith(".py") else []) == []
